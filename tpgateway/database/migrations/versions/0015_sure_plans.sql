-- Of a table that is new, or empty most of the time, the planner believes that each index finds one row, and takes the newest that
-- has any column of the question: of an approval's key `prior_approvals_by_check` with its insurer, which reads all of the
-- insurer's approvals. Such a plan is kept while the table fills. An index whose condition names its column serves only those who
-- name that column too; the condition leaves out no row.

CREATE INDEX IF NOT EXISTS prior_approvals_of_person ON prior_approvals (insurer_id, membership_number, id)
    WHERE membership_number IS NOT NULL;
CREATE INDEX IF NOT EXISTS prior_approvals_in_state ON prior_approvals (insurer_id, state, id) WHERE state IS NOT NULL;
CREATE INDEX IF NOT EXISTS prior_approvals_of_day ON prior_approvals (insurer_id, care_date, id) WHERE care_date IS NOT NULL;
CREATE INDEX IF NOT EXISTS prior_approvals_of_check ON prior_approvals (insurer_id, card_check_id)
    WHERE card_check_id IS NOT NULL;
DROP INDEX prior_approvals_by_person;
DROP INDEX prior_approvals_by_state;
DROP INDEX prior_approvals_by_care;
DROP INDEX prior_approvals_by_check;

CREATE INDEX IF NOT EXISTS insurer_outbox_due ON insurer_outbox (insurer_id, endpoint_id, due_at, sequence)
    WHERE due_at IS NOT NULL;
CREATE INDEX IF NOT EXISTS insurer_outbox_of_subject ON insurer_outbox (insurer_id, endpoint_id, subject_id, sequence)
    WHERE subject_id IS NOT NULL;
DROP INDEX insurer_outbox_by_time;
DROP INDEX insurer_outbox_by_subject;
