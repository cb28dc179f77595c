-- What a use says of the whole that it belongs to: the last day of the stay, where it is not for days of its own, and what the AMO
-- paid beside, which counts in an equipment's ceiling.
ALTER TABLE benefit_uses
    ADD COLUMN amo_cents bigint NOT NULL DEFAULT 0 CHECK (amo_cents >= 0),
    ADD COLUMN until date;
UPDATE benefit_uses u SET until = (a.request ->> 'exit_date')::date
FROM prior_approvals a
WHERE a.insurer_id = u.insurer_id AND a.id = u.approval_id AND a.domain = 'HOSP'
  AND u.item NOT IN ('daily_fee', 'single_room', 'accompanying_bed');
UPDATE benefit_uses u SET amo_cents = l.amo_cents
FROM prior_approvals a, prior_approval_lines l
WHERE a.insurer_id = u.insurer_id AND a.id = u.approval_id AND a.domain = 'OPTI'
  AND l.insurer_id = u.insurer_id AND l.approval_id = a.id AND l.revision = a.revision AND l.line = u.line;
