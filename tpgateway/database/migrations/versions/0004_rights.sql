-- Rights --------------------------------------------------------------------------------------------------------------

-- Numbers are compared as bytes: quicker than any language's order, and the same on every server.
ALTER TABLE insured_rights
    ALTER COLUMN membership_number TYPE text COLLATE "C",
    ALTER COLUMN birth_date TYPE text COLLATE "C",
    -- Millions of lines at once: the import names an insurer that it holds, and checks the forms line by line.
    DROP CONSTRAINT insured_rights_insurer_id_fkey,
    DROP CONSTRAINT insured_rights_birth_date_check,
    ADD CONSTRAINT insured_rights_birth_date_check CHECK (octet_length(birth_date) = 8);
-- What Python and people call dates: PostgreSQL knows infinity, and years of five digits.
UPDATE insured_rights SET valid_to = '9999-12-31' WHERE valid_to > '9999-12-31';
DELETE FROM insured_rights WHERE valid_from < '0001-01-01' OR valid_from > '9999-12-31';
ALTER TABLE insured_rights
    ADD CONSTRAINT insured_rights_have_dates CHECK (valid_from >= '0001-01-01' AND valid_to <= '9999-12-31');

-- A person's NIR, sealed, and its keyed hash to be found by. Those born on one day may share an insured parent's NIR.
CREATE TABLE insured_nirs (
    insurer_id        uuid NOT NULL,
    membership_number text NOT NULL COLLATE "C",
    birth_date        text NOT NULL COLLATE "C",
    birth_rank        smallint NOT NULL,
    nir_hash          bytea NOT NULL CHECK (length(nir_hash) = 32),
    nir_sealed        bytea NOT NULL,
    PRIMARY KEY (insurer_id, membership_number, birth_date, birth_rank)
);
CREATE INDEX insured_nirs_by_hash ON insured_nirs (insurer_id, nir_hash, birth_date);

ALTER TABLE rights_imports ADD COLUMN unchanged bigint NOT NULL DEFAULT 0 CHECK (unchanged BETWEEN 0 AND loaded);
ALTER TABLE rights_rejects ADD CONSTRAINT rights_rejects_name_no_value CHECK (column_name ~ '^[a-z_]*$' AND code ~ '^[a-z_]+$');

-- Where imports put a file's lines until they are merged, in tables that live as long as their transaction.
CREATE SCHEMA staging;
GRANT USAGE, CREATE ON SCHEMA staging TO tpgateway_service;

-- Checks --------------------------------------------------------------------------------------------------------------

ALTER TABLE card_checks
    -- What is inserted is read from the very rows that these would look up and lock again, thousands of times a second.
    DROP CONSTRAINT card_checks_insurer_id_fkey,
    DROP CONSTRAINT card_checks_practitioner_id_fkey,
    -- A person who was asked for by NIR and not found has neither.
    ALTER COLUMN membership_number DROP NOT NULL,
    ALTER COLUMN birth_rank DROP NOT NULL,
    ADD COLUMN nir_hash bytea CHECK (length(nir_hash) = 32),
    ADD COLUMN is_ambiguous boolean NOT NULL DEFAULT false,
    ADD COLUMN is_silent boolean NOT NULL DEFAULT false,
    ADD COLUMN holds_csr boolean NOT NULL DEFAULT true;

-- Who may not check cards for now: a practitioner, one of its people, one of its API clients.
CREATE TABLE check_locks (
    owner_id        uuid PRIMARY KEY,
    practitioner_id uuid NOT NULL REFERENCES practitioners,
    reason          text NOT NULL CHECK (reason IN ('people_per_hour', 'people_per_day', 'misses_per_hour', 'misses_per_day')),
    locked_at       timestamptz NOT NULL,
    ends_at         timestamptz NOT NULL
);
CREATE INDEX check_locks_by_practitioner ON check_locks (practitioner_id);

-- Insurers who answer checks themselves, at an address of theirs.
CREATE TABLE insurer_live_sources (
    insurer_id uuid PRIMARY KEY REFERENCES insurers,
    url        text NOT NULL CHECK (length(url) BETWEEN 10 AND 2000),
    secret     bytea NOT NULL,
    set_at     timestamptz NOT NULL
);

-- Named here too, since default privileges are those of whoever set them.
GRANT SELECT, INSERT, UPDATE, DELETE ON insured_nirs, check_locks, insurer_live_sources TO tpgateway_service;

-- After a large import the planner must not wait for its picture of these.
GRANT MAINTAIN ON insured_rights, insured_nirs TO tpgateway_service;
