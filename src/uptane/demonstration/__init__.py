"""The walkthrough: consoles, banners and the automatic demonstration."""
