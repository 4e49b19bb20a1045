"""What the three consoles of the services window share."""

from uptane.demonstration.desk import Desk
from uptane.demonstration.settings import load_settings

desk = Desk(load_settings())
