"""Every test here that asks for `profile` runs in each wire format."""

from fleet import profile as profile
