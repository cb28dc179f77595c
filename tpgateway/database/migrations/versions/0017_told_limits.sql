-- The one amount that a line's rule goes by, where it does: a price limit, a ceiling, a floor, a national amount.
ALTER TABLE prior_approval_lines ADD COLUMN limit_cents bigint;
