-- People of a practice --------------------------------------------------------------------------------------------------

-- Who logs in. The holder opened the account and logs in by its numbers alone; all others name their e-mail address too.
CREATE TABLE practitioner_members (
    id              uuid PRIMARY KEY DEFAULT uuidv7(),
    practitioner_id uuid NOT NULL REFERENCES practitioners ON DELETE CASCADE,
    role            text NOT NULL CHECK (role IN ('owner', 'staff', 'read_only')),
    is_holder       boolean NOT NULL DEFAULT false,
    state           text NOT NULL CHECK (state IN ('invited', 'active', 'removed')),
    name            text CHECK (length(name) BETWEEN 1 AND 200),
    email           text NOT NULL CHECK (length(email) BETWEEN 3 AND 254),
    password_hash   text,
    totp_secret     bytea,
    totp_since      timestamptz,
    totp_last_step  bigint,
    invited_at      timestamptz NOT NULL DEFAULT now(),
    joined_at       timestamptz,
    removed_at      timestamptz,
    CONSTRAINT practitioner_members_active_have_a_password CHECK (state <> 'active' OR password_hash IS NOT NULL),
    CONSTRAINT practitioner_members_holders_are_owners CHECK (NOT is_holder OR role = 'owner')
);
CREATE UNIQUE INDEX practitioner_members_one_holder ON practitioner_members (practitioner_id) WHERE is_holder;
CREATE UNIQUE INDEX practitioner_members_by_email ON practitioner_members (practitioner_id, lower(email))
    WHERE state <> 'removed';
CREATE INDEX practitioner_members_by_address ON practitioner_members (lower(email)) WHERE state = 'active';
CREATE INDEX practitioner_members_by_practitioner ON practitioner_members (practitioner_id);

INSERT INTO practitioner_members (practitioner_id, role, is_holder, state, email, password_hash, invited_at, joined_at)
SELECT id, 'owner', true, 'active', email, password_hash, registered_at, activated_at FROM practitioners;

-- Addresses that an account had: sensitive changes are told to them too, for a time.
CREATE TABLE member_former_addresses (
    member_id uuid NOT NULL REFERENCES practitioner_members ON DELETE CASCADE,
    email     text NOT NULL,
    left_at   timestamptz NOT NULL,
    PRIMARY KEY (member_id, left_at)
);

CREATE TABLE member_recovery_codes (
    member_id uuid NOT NULL REFERENCES practitioner_members ON DELETE CASCADE,
    code_hash bytea NOT NULL,
    used_at   timestamptz,
    PRIMARY KEY (member_id, code_hash)
);

-- A browser that passed the second factor is known for a time, by a cookie of its own.
CREATE TABLE member_devices (
    member_id  uuid NOT NULL REFERENCES practitioner_members ON DELETE CASCADE,
    token_hash bytea NOT NULL,
    known_at   timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (member_id, token_hash)
);

CREATE INDEX member_devices_by_token ON member_devices (token_hash);

-- Failures by door, known or not: the key is a keyed hash of what was typed, so that a stranger learns nothing from it.
CREATE TABLE login_guards (
    key          bytea PRIMARY KEY,
    failures     integer NOT NULL,
    failed_at    timestamptz NOT NULL,
    locked_until timestamptz
);
CREATE INDEX login_guards_by_age ON login_guards (failed_at);

-- Sessions of before knew nobody in person.
DELETE FROM sessions;
DROP INDEX sessions_by_practitioner;
ALTER TABLE sessions
    DROP COLUMN practitioner_id,
    ADD COLUMN id               uuid NOT NULL DEFAULT uuidv7() UNIQUE,
    ADD COLUMN member_id        uuid REFERENCES practitioner_members ON DELETE CASCADE,
    ADD COLUMN is_kept          boolean NOT NULL DEFAULT false,
    ADD COLUMN is_pending       boolean NOT NULL DEFAULT false,
    ADD COLUMN second_factor_at timestamptz,
    ADD COLUMN agent            text,
    ADD COLUMN address          text,
    ADD COLUMN code_hash        bytea,
    ADD COLUMN code_expires_at  timestamptz,
    ADD COLUMN code_tries       smallint NOT NULL DEFAULT 0;
CREATE INDEX sessions_by_member ON sessions (member_id);

-- Links in mails ----------------------------------------------------------------------------------------------------------

ALTER TABLE practitioner_links RENAME TO links;
ALTER TABLE links DROP CONSTRAINT practitioner_links_purpose_check;
ALTER TABLE links
    ADD CONSTRAINT links_purpose_check
        CHECK (purpose IN ('activation', 'password_reset', 'email_change', 'invitation', 'bank_revocation')),
    ADD COLUMN subject_id uuid,
    ADD COLUMN address    text;
CREATE INDEX links_by_subject ON links (practitioner_id, purpose);

-- A mail that nobody takes is given up after some days, or at once where its reader does not exist.
ALTER TABLE mails ADD COLUMN was_given_up boolean NOT NULL DEFAULT false;

-- What strangers ask for is looked up by the worker, so that the answer cannot tell what was found.
CREATE TABLE practitioner_requests (
    id         uuid PRIMARY KEY DEFAULT uuidv7(),
    sealed     bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

-- Accounts ----------------------------------------------------------------------------------------------------------------

ALTER TABLE practitioners
    DROP CONSTRAINT practitioners_state_check,
    DROP CONSTRAINT practitioners_in_use_were_activated,
    ADD COLUMN mobile              text CHECK (mobile ~ '^\+[0-9]{6,15}$'),
    ADD COLUMN street              text CHECK (length(street) BETWEEN 1 AND 200),
    ADD COLUMN town                text CHECK (length(town) BETWEEN 1 AND 100),
    ADD COLUMN is_listed           boolean NOT NULL DEFAULT false,
    ADD COLUMN latitude            double precision,
    ADD COLUMN longitude           double precision,
    ADD COLUMN privacy_version     text,
    ADD COLUMN privacy_accepted_at timestamptz,
    ADD COLUMN state_reason        text CHECK (length(state_reason) BETWEEN 1 AND 500),
    ADD COLUMN confirmed_at        timestamptz,
    ADD COLUMN closed_at           timestamptz,
    ADD COLUMN psc_subject         text;
CREATE INDEX practitioner_identifiers_by_value ON practitioner_identifiers (scheme, value);
UPDATE practitioners SET privacy_version = terms_version, privacy_accepted_at = terms_accepted_at, confirmed_at = activated_at;
ALTER TABLE practitioners
    ALTER COLUMN privacy_version SET NOT NULL,
    ALTER COLUMN privacy_accepted_at SET NOT NULL,
    ADD CONSTRAINT practitioners_state_check
        CHECK (state IN ('unconfirmed', 'in_review', 'refused', 'active', 'suspended', 'closed')),
    ADD CONSTRAINT practitioners_in_use_were_activated
        CHECK (state NOT IN ('active', 'suspended') OR activated_at IS NOT NULL),
    ADD CONSTRAINT practitioners_in_review_were_confirmed CHECK (state = 'unconfirmed' OR confirmed_at IS NOT NULL);
CREATE INDEX practitioners_listed ON practitioners (specialty) WHERE is_listed AND state = 'active';
CREATE INDEX practitioners_unconfirmed ON practitioners (registered_at) WHERE state = 'unconfirmed';

CREATE TABLE practitioner_reviews (
    id              uuid PRIMARY KEY DEFAULT uuidv7(),
    practitioner_id uuid NOT NULL REFERENCES practitioners ON DELETE CASCADE,
    scheme          text NOT NULL,
    value           text NOT NULL,
    is_registration boolean NOT NULL,
    reason          text NOT NULL CHECK (reason IN ('not_found', 'name_differs', 'place_differs', 'treasury', 'was_held')),
    asked_at        timestamptz NOT NULL,
    decided_at      timestamptz,
    is_approved     boolean,
    decision_reason text CHECK (length(decision_reason) BETWEEN 1 AND 500),
    CONSTRAINT practitioner_reviews_are_decided_whole CHECK ((decided_at IS NULL) = (is_approved IS NULL))
);
CREATE INDEX practitioner_reviews_open ON practitioner_reviews (asked_at) WHERE decided_at IS NULL;
CREATE INDEX practitioner_reviews_by_practitioner ON practitioner_reviews (practitioner_id);
CREATE UNIQUE INDEX practitioner_reviews_one_open ON practitioner_reviews (practitioner_id, scheme, value)
    WHERE decided_at IS NULL;

-- The details in force at a time are the latest that had come into force and were not revoked.
CREATE TABLE bank_details (
    id              uuid PRIMARY KEY DEFAULT uuidv7(),
    practitioner_id uuid NOT NULL REFERENCES practitioners ON DELETE CASCADE,
    bic             text NOT NULL CHECK (bic ~ '^[A-Z0-9]{8}([A-Z0-9]{3})?$'),
    iban            bytea,
    iban_ending     text CHECK (length(iban_ending) = 4),
    requested_at    timestamptz NOT NULL,
    requested_by    uuid,
    in_force_from   timestamptz NOT NULL CHECK (in_force_from >= requested_at),
    revoked_at      timestamptz CHECK (revoked_at < in_force_from),
    CONSTRAINT bank_details_show_the_end_of_their_iban CHECK ((iban IS NULL) = (iban_ending IS NULL))
);
CREATE INDEX bank_details_by_practitioner ON bank_details (practitioner_id, in_force_from);
INSERT INTO bank_details (practitioner_id, bic, requested_at, in_force_from)
SELECT id, bic, registered_at, registered_at FROM practitioners;

DROP INDEX practitioners_by_email;
ALTER TABLE practitioners DROP COLUMN email, DROP COLUMN bic, DROP COLUMN password_hash;

ALTER TABLE practitioner_clients
    ADD COLUMN last_used_at          timestamptz,
    ADD COLUMN former_secret_hash    bytea,
    ADD COLUMN former_public_jwk     jsonb,
    ADD COLUMN former_until          timestamptz,
    ADD CONSTRAINT practitioner_clients_former_credentials_end
        CHECK ((former_until IS NULL) = (former_secret_hash IS NULL AND former_public_jwk IS NULL));

-- Public directories ------------------------------------------------------------------------------------------------------

CREATE TABLE directory_entries (
    scheme       text NOT NULL CHECK (scheme IN ('finess', 'adeli', 'rpps')),
    number       text NOT NULL,
    place        text NOT NULL,
    source       text NOT NULL CHECK (source IN ('finess', 'professionals', 'establishments')),
    legal_name   text,
    long_name    text,
    last_name    text,
    first_name   text,
    postal_code  text,
    is_cedex     boolean NOT NULL,
    town         text,
    siret        text,
    category     text,
    latitude     double precision,
    longitude    double precision,
    PRIMARY KEY (scheme, number, source, place)
);
CREATE INDEX directory_entries_by_siret ON directory_entries (siret) WHERE siret IS NOT NULL;

-- Where postal codes lie, CEDEX codes included, and what begins like them: the mean of the establishments there.
CREATE TABLE directory_places (
    prefix    text PRIMARY KEY CHECK (length(prefix) IN (2, 3, 5)),
    latitude  double precision NOT NULL,
    longitude double precision NOT NULL
);

CREATE TABLE directory_imports (
    source      text PRIMARY KEY,
    entries     bigint NOT NULL,
    imported_at timestamptz NOT NULL
);

-- Limits that all processes share. What a crash loses of them is a minute's count.
CREATE UNLOGGED TABLE rate_windows (
    key    text NOT NULL,
    minute timestamptz NOT NULL,
    used   bigint NOT NULL,
    PRIMARY KEY (key, minute)
);
CREATE INDEX rate_windows_by_age ON rate_windows (minute);

-- Audit -------------------------------------------------------------------------------------------------------------------

-- The member or the API client of the account who acted.
ALTER TABLE audit_entries ADD COLUMN agent_id uuid;
ALTER TABLE card_checks RENAME COLUMN client_id TO agent_id;
CREATE INDEX card_checks_by_practitioner ON card_checks (practitioner_id, id);
CREATE INDEX card_checks_by_day ON card_checks USING brin (checked_at);
CREATE TRIGGER card_checks_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON card_checks
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- The chain: each entry's hash holds the one before. A table of its own, so that writers of entries never wait for each other.
CREATE TABLE audit_links (
    day      date NOT NULL,
    number   bigint NOT NULL CHECK (number >= 1),
    entry_id uuid NOT NULL UNIQUE REFERENCES audit_entries,
    hash     bytea NOT NULL CHECK (length(hash) = 32),
    PRIMARY KEY (day, number)
);
-- A closed day: the last link of its chain, and the digest of its card checks, which are audit entries themselves.
CREATE TABLE audit_days (
    day           date PRIMARY KEY,
    entries       bigint NOT NULL,
    card_checks   bigint NOT NULL,
    checks_digest bytea NOT NULL CHECK (length(checks_digest) = 32),
    hash          bytea NOT NULL CHECK (length(hash) = 32),
    closed_at     timestamptz NOT NULL
);
CREATE TRIGGER audit_links_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_links
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER audit_days_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_days
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- All that is known of who did what: a card check's record is its own entry.
CREATE VIEW audit_trail AS
SELECT id, occurred_at, actor_kind, actor_id, agent_id, action, insurer_id, subject_id, request_id FROM audit_entries
UNION ALL
SELECT id, checked_at, 'practitioner', practitioner_id, agent_id, 'card:check:do', insurer_id, id, NULL
FROM card_checks;

-- The service's role ------------------------------------------------------------------------------------------------------

-- What serves and works acts under this role, which owns nothing: what is append-only it can neither change nor remove.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tpgateway_service') THEN
        CREATE ROLE tpgateway_service NOLOGIN;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;  -- made at this moment, for another database of the server
    WHEN insufficient_privilege THEN
        RAISE EXCEPTION 'the role tpgateway_service is missing'
            USING HINT = 'As an administrator: CREATE ROLE tpgateway_service NOLOGIN; GRANT tpgateway_service TO <the service''s login>';
END $$;
GRANT USAGE ON SCHEMA public, queue TO tpgateway_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA public, queue TO tpgateway_service;
GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA public, queue TO tpgateway_service;
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA queue TO tpgateway_service;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT SELECT, INSERT, UPDATE, DELETE ON TABLES TO tpgateway_service;
ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO tpgateway_service;
REVOKE INSERT, UPDATE, DELETE ON alembic_version FROM tpgateway_service;
REVOKE UPDATE, DELETE ON card_checks, audit_entries, audit_links, audit_days, insurer_events, prior_approval_events, dre_versions, dre_files
    FROM tpgateway_service;
