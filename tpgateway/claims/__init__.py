"""Prior approvals: requests, their decision by rule, their life."""
