-- People of insurers -----------------------------------------------------------------------------------------------------

-- A member belongs to one account: a practice, or an insurer. Programs of before know practices alone, and go on so.
ALTER TABLE practitioner_members
    ALTER COLUMN practitioner_id DROP NOT NULL,
    ADD COLUMN insurer_id uuid REFERENCES insurers,
    ADD CONSTRAINT practitioner_members_have_one_account CHECK (num_nonnulls(practitioner_id, insurer_id) = 1),
    ADD CONSTRAINT practitioner_members_insurers_have_no_holder CHECK (insurer_id IS NULL OR NOT is_holder);
CREATE INDEX practitioner_members_of_insurer ON practitioner_members (insurer_id) WHERE insurer_id IS NOT NULL;
CREATE UNIQUE INDEX practitioner_members_by_insurer ON practitioner_members (insurer_id, lower(email))
    WHERE state <> 'removed';

ALTER TABLE links
    ALTER COLUMN practitioner_id DROP NOT NULL,
    ADD COLUMN insurer_id uuid REFERENCES insurers,
    ADD CONSTRAINT links_have_one_account CHECK (num_nonnulls(practitioner_id, insurer_id) = 1);
CREATE INDEX links_by_insurer ON links (insurer_id, purpose) WHERE insurer_id IS NOT NULL;

-- What strangers ask for is looked up by the worker, so that the answer cannot tell what was found.
CREATE TABLE insurer_requests (
    id         uuid PRIMARY KEY DEFAULT uuidv7(),
    sealed     bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX mails_waiting ON mails (created_at) WHERE sent_at IS NULL;

-- What somebody was typing into a page when the session ended, until the same person is back. Sealed.
CREATE TABLE member_drafts (
    member_id uuid PRIMARY KEY REFERENCES practitioner_members ON DELETE CASCADE,
    path      text NOT NULL CHECK (length(path) <= 500),
    sealed    bytea NOT NULL,
    kept_at   timestamptz NOT NULL DEFAULT now()
);

-- What the desk shows --------------------------------------------------------------------------------------------------

CREATE INDEX prior_approvals_due_at_insurer ON prior_approvals (insurer_id, due_at, id) WHERE waits_for = 'insurer';
CREATE INDEX prior_approvals_due_at_practice ON prior_approvals (practitioner_id, due_at, id)
    WHERE waits_for = 'practitioner';

-- Rights files that are on their way in, for those who wait. What a crash loses of them is gone with the import itself.
CREATE UNLOGGED TABLE rights_uploads (
    insurer_id uuid NOT NULL,
    id         uuid NOT NULL DEFAULT uuidv7(),
    stage      text NOT NULL,
    received   bigint NOT NULL DEFAULT 0,
    size       bigint,
    started_at timestamptz NOT NULL DEFAULT now(),
    seen_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (insurer_id, id)
);

-- Checks by insurer and day, counted once the day is over; a day that is counted stands in the second table.
CREATE TABLE card_check_days (
    insurer_id uuid NOT NULL,
    day        date NOT NULL,
    checks     bigint NOT NULL,
    PRIMARY KEY (insurer_id, day)
);
CREATE TABLE card_check_days_counted (day date PRIMARY KEY);

-- Named here too, since default privileges are those of whoever set them.
GRANT SELECT, INSERT, UPDATE, DELETE ON insurer_requests, member_drafts, rights_uploads, card_check_days,
    card_check_days_counted TO tpgateway_service;
