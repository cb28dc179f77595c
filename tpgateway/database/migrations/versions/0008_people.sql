-- People of insurers -----------------------------------------------------------------------------------------------------

-- A member belongs to one account: a practice, or an insurer. Programs of before know practices alone, and go on so.
ALTER TABLE practitioner_members
    ALTER COLUMN practitioner_id DROP NOT NULL,
    ADD COLUMN insurer_id uuid REFERENCES insurers,
    ADD CONSTRAINT practitioner_members_have_one_account CHECK (num_nonnulls(practitioner_id, insurer_id) = 1),
    ADD CONSTRAINT practitioner_members_insurers_have_no_holder CHECK (insurer_id IS NULL OR NOT is_holder);
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

-- Named here too, since default privileges are those of whoever set them.
GRANT SELECT, INSERT, UPDATE, DELETE ON insurer_requests TO tpgateway_service;
