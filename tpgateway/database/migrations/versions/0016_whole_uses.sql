-- What a use says of the whole that it belongs to: the last day of the stay, where it is not for days of its own, and what the AMO
-- paid beside, which counts in an equipment's ceiling.
ALTER TABLE benefit_uses ADD COLUMN amo_cents bigint NOT NULL DEFAULT 0;
ALTER TABLE benefit_uses ADD CONSTRAINT benefit_uses_amo_cents_check CHECK (amo_cents >= 0);
ALTER TABLE benefit_uses ADD COLUMN until date;
-- Taken apart, since a text becomes a date by a session's settings, by which Citus changes no rows.
UPDATE benefit_uses u
SET until = make_date(substr(a.request ->> 'exit_date', 1, 4)::int, substr(a.request ->> 'exit_date', 6, 2)::int,
                      substr(a.request ->> 'exit_date', 9, 2)::int)
FROM prior_approvals a
WHERE a.insurer_id = u.insurer_id AND a.id = u.approval_id AND a.domain = 'HOSP'
  AND u.item NOT IN ('daily_fee', 'single_room', 'accompanying_bed');
UPDATE benefit_uses u SET amo_cents = l.amo_cents
FROM prior_approvals a, prior_approval_lines l
WHERE a.insurer_id = u.insurer_id AND a.id = u.approval_id AND a.domain = 'OPTI'
  AND l.insurer_id = u.insurer_id AND l.approval_id = a.id AND l.revision = a.revision AND l.line = u.line;
