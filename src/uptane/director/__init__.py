"""The Director: what each vehicle shall install, on the evidence of what it has."""
