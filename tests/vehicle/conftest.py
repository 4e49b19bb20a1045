"""Every test here that asks for `profile` runs in each wire format, and for `kind` in both kinds of partial ECU."""

from fleet import profile as profile
from partial import kind as kind
