"""What the three consoles of the services window share."""

from uptane.demonstration.desk import Desk
from uptane.demonstration.start import settings_or_end

desk = Desk(settings_or_end())
