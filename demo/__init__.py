"""The walkthrough's own module names: each is a few lines over `uptane.demonstration`."""
