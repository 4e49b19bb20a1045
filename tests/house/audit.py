"""Known vulnerabilities of every pinned dependency, by `pip-audit`; what could not be looked up has failed.

Some package indexes have a page of each project and none of each of its versions. What is known of the newest version
stands on the project's page, so a version that is the newest one is looked up there. Others have pages that say nothing
of vulnerabilities: such a page is as good as none.
"""

import sys
from typing import Any

from packaging.version import Version
from pip_audit import _cli
from pip_audit._service import pypi


class NewestToo:
    """A session that takes the page of a project for that of its newest version, where that has none.

    Args:
        session: of `requests`, or one like it.
    """

    def __init__(self, session: Any) -> None:
        self._session = session

    def get(self, *, url: str, timeout: float | None) -> Any:
        """The page of a version, whose address ends in its number and `json`."""
        page = self._session.get(url=url, timeout=timeout)
        if page.status_code == 404:
            project, version, name = url.rsplit("/", 2)
            of_project = self._session.get(url=f"{project}/{name}", timeout=timeout)
            if of_project.status_code == 200 and Version(of_project.json()["info"]["version"]) == Version(version):
                page = of_project
        if page.status_code == 200 and page.json().get("vulnerabilities") is None:
            page.status_code = 404  # it says nothing of vulnerabilities, which pip-audit would take for none
        return page


if __name__ == "__main__":
    made = pypi.caching_session
    pypi.caching_session = lambda cache_dir: NewestToo(made(cache_dir))
    sys.exit(_cli.audit())
