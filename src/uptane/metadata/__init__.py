"""Values: roles, keys, delegations, reports, manifests; errors and the attacks they name."""
