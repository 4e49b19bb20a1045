"""What Alembic runs to migrate: on the connection that it was handed, in the transaction that is open there."""

from alembic import context

from uptane.storage.sql.revision import REVISION_TABLE

context.configure(connection=context.config.attributes["connection"], version_table=REVISION_TABLE)
context.run_migrations()
