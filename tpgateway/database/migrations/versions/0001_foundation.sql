-- Periods of validity may not overlap for one key. Ranges over uuid and text let PostgreSQL's own GiST classes state that
-- equality, so that no extension is needed.
CREATE TYPE uuid_span AS RANGE (subtype = uuid);
CREATE TYPE text_span AS RANGE (subtype = text, collation = "C");

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;

-- Shared mechanics ----------------------------------------------------------------------------------------------------

CREATE TABLE audit_entries (
    id          uuid PRIMARY KEY DEFAULT uuidv7(),
    occurred_at timestamptz NOT NULL DEFAULT now(),
    actor_kind  text NOT NULL CHECK (actor_kind IN ('nobody', 'practitioner', 'insurer', 'operator', 'system')),
    actor_id    uuid,
    action      text NOT NULL CHECK (action ~ '^[a-z_]+:[a-z_]+:[a-z_]+$'),
    insurer_id  uuid,
    subject_id  uuid,
    request_id  text
);
CREATE INDEX audit_entries_by_subject ON audit_entries (subject_id, occurred_at);
CREATE INDEX audit_entries_by_actor ON audit_entries (actor_id, occurred_at);
CREATE TRIGGER audit_entries_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_entries
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE idempotency_keys (
    owner        text NOT NULL CHECK (length(owner) BETWEEN 1 AND 100),
    key          text NOT NULL CHECK (length(key) BETWEEN 1 AND 200),
    request_hash bytea NOT NULL,
    answer       bytea NOT NULL,
    created_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (owner, key)
);
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

CREATE TABLE used_assertions (
    client_id  uuid NOT NULL,
    jti        text NOT NULL CHECK (length(jti) BETWEEN 1 AND 200),
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (client_id, jti)
);
CREATE INDEX used_assertions_by_expiry ON used_assertions (expires_at);

CREATE TABLE mails (
    id         uuid PRIMARY KEY DEFAULT uuidv7(),
    sealed     bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    sent_at    timestamptz,
    CONSTRAINT mails_are_emptied_once_sent CHECK ((sealed IS NULL) = (sent_at IS NOT NULL))
);

-- Practitioners -------------------------------------------------------------------------------------------------------

CREATE TABLE practitioners (
    id                uuid PRIMARY KEY DEFAULT uuidv7(),
    state             text NOT NULL CHECK (state IN ('unconfirmed', 'active', 'suspended', 'closed')),
    first_name        text CHECK (length(first_name) BETWEEN 1 AND 100),
    last_name         text CHECK (length(last_name) BETWEEN 1 AND 100),
    legal_name        text CHECK (length(legal_name) BETWEEN 1 AND 200),
    specialty         text NOT NULL CHECK (specialty ~ '^[a-z_]{2,30}$'),
    postal_code       text NOT NULL CHECK (postal_code ~ '^[0-9]{5}$'),
    email             text NOT NULL CHECK (length(email) BETWEEN 3 AND 254),
    bic               text NOT NULL CHECK (bic ~ '^[A-Z0-9]{8}([A-Z0-9]{3})?$'),
    finess            text CHECK (length(finess) = 9),
    siret             text CHECK (length(siret) = 14),
    password_hash     text NOT NULL,
    terms_version     text NOT NULL,
    terms_accepted_at timestamptz NOT NULL,
    registered_at     timestamptz NOT NULL DEFAULT now(),
    activated_at      timestamptz,
    CONSTRAINT practitioners_are_a_person_or_a_body
        CHECK ((legal_name IS NOT NULL) <> (first_name IS NOT NULL AND last_name IS NOT NULL)),
    CONSTRAINT practitioners_in_use_were_activated CHECK (state = 'unconfirmed' OR activated_at IS NOT NULL)
);
CREATE INDEX practitioners_by_email ON practitioners (lower(email));

-- An identifier is held by the one account that confirmed it; until then several may claim it.
CREATE TABLE practitioner_identifiers (
    practitioner_id uuid NOT NULL REFERENCES practitioners ON DELETE CASCADE,
    scheme          text NOT NULL CHECK (scheme IN ('finess', 'adeli', 'rpps', 'treasury')),
    value           text NOT NULL CHECK (length(value) BETWEEN 9 AND 13),
    is_held         boolean NOT NULL DEFAULT false,
    PRIMARY KEY (practitioner_id, scheme, value)
);
CREATE UNIQUE INDEX practitioner_identifiers_one_holder ON practitioner_identifiers (scheme, value) WHERE is_held;

CREATE TABLE practitioner_links (
    token_hash      bytea PRIMARY KEY,
    purpose         text NOT NULL CHECK (purpose IN ('activation')),
    practitioner_id uuid NOT NULL REFERENCES practitioners ON DELETE CASCADE,
    expires_at      timestamptz NOT NULL,
    used_at         timestamptz
);

CREATE TABLE practitioner_clients (
    id              uuid PRIMARY KEY DEFAULT uuidv7(),
    practitioner_id uuid NOT NULL REFERENCES practitioners,
    name            text NOT NULL CHECK (length(name) BETWEEN 1 AND 100),
    secret_hash     bytea,
    public_jwk      jsonb,
    scopes          text[] NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    revoked_at      timestamptz,
    CONSTRAINT practitioner_clients_have_one_credential CHECK ((secret_hash IS NULL) <> (public_jwk IS NULL))
);
CREATE INDEX practitioner_clients_by_practitioner ON practitioner_clients (practitioner_id);

CREATE TABLE sessions (
    token_hash      bytea PRIMARY KEY,
    practitioner_id uuid REFERENCES practitioners ON DELETE CASCADE,
    data            jsonb NOT NULL,
    created_at      timestamptz NOT NULL DEFAULT now(),
    seen_at         timestamptz NOT NULL DEFAULT now(),
    expires_at      timestamptz NOT NULL
);
CREATE INDEX sessions_by_expiry ON sessions (expires_at);
CREATE INDEX sessions_by_practitioner ON sessions (practitioner_id);

-- Insurers ------------------------------------------------------------------------------------------------------------

CREATE TABLE insurers (
    id         uuid PRIMARY KEY DEFAULT uuidv7(),
    number     text NOT NULL UNIQUE CHECK (number ~ '^[0-9]{10}$'),
    name       text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    state      text NOT NULL DEFAULT 'active' CHECK (state IN ('active', 'suspended')),
    convention_types text[] NOT NULL CHECK (cardinality(convention_types) >= 1),
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE insurer_clients (
    id         uuid PRIMARY KEY DEFAULT uuidv7(),
    insurer_id uuid NOT NULL REFERENCES insurers,
    public_jwk jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz
);

CREATE TABLE insurer_endpoints (
    insurer_id uuid NOT NULL REFERENCES insurers,
    id         uuid NOT NULL DEFAULT uuidv7(),
    url        text NOT NULL CHECK (length(url) BETWEEN 10 AND 2000),
    secret     bytea NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    removed_at timestamptz,
    PRIMARY KEY (insurer_id, id)
);

-- The counter is locked from the event to the commit: numbers follow the order of commits, without gaps.
CREATE TABLE insurer_event_counters (
    insurer_id uuid PRIMARY KEY REFERENCES insurers,
    last       bigint NOT NULL DEFAULT 0
);

CREATE TABLE insurer_events (
    insurer_id  uuid NOT NULL REFERENCES insurers,
    sequence    bigint NOT NULL,
    id          uuid NOT NULL DEFAULT uuidv7(),
    kind        text NOT NULL CHECK (kind ~ '^[a-z_]+\.[a-z_]+$'),
    subject_id  uuid NOT NULL,
    data        jsonb NOT NULL,
    occurred_at timestamptz NOT NULL,
    PRIMARY KEY (insurer_id, sequence),
    UNIQUE (insurer_id, id)
);
CREATE TRIGGER insurer_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON insurer_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE insurer_deliveries (
    insurer_id   uuid NOT NULL,
    event_id     uuid NOT NULL,
    endpoint_id  uuid NOT NULL,
    attempt      smallint NOT NULL CHECK (attempt >= 1),
    attempted_at timestamptz NOT NULL,
    status       smallint,
    failure      text,
    milliseconds integer NOT NULL,
    PRIMARY KEY (insurer_id, event_id, endpoint_id, attempt),
    FOREIGN KEY (insurer_id, event_id) REFERENCES insurer_events (insurer_id, id),
    FOREIGN KEY (insurer_id, endpoint_id) REFERENCES insurer_endpoints (insurer_id, id),
    CONSTRAINT insurer_deliveries_end_in_a_status_or_a_failure CHECK ((status IS NULL) <> (failure IS NULL))
);

-- Guarantees ----------------------------------------------------------------------------------------------------------

CREATE TABLE product_versions (
    insurer_id     uuid NOT NULL REFERENCES insurers,
    id             uuid NOT NULL DEFAULT uuidv7(),
    code           text NOT NULL CHECK (code ~ '^[A-Z0-9_-]{1,20}$'),
    name           text NOT NULL CHECK (length(name) BETWEEN 1 AND 200),
    is_responsible boolean NOT NULL,
    validity       daterange NOT NULL CHECK (NOT isempty(validity) AND NOT lower_inf(validity)),
    recorded_at    timestamptz NOT NULL DEFAULT now(),
    superseded_at  timestamptz,
    PRIMARY KEY (insurer_id, id),
    CONSTRAINT product_versions_in_force_one_at_a_time EXCLUDE USING gist (
        uuid_span(insurer_id, insurer_id, '[]') WITH &&, text_span(code, code, '[]') WITH &&, validity WITH &&
    ) WHERE (superseded_at IS NULL)
);
CREATE INDEX product_versions_by_code ON product_versions (insurer_id, code) WHERE superseded_at IS NULL;

CREATE TABLE benefit_lines (
    insurer_id         uuid NOT NULL,
    product_version_id uuid NOT NULL,
    domain             text NOT NULL CHECK (domain ~ '^[A-Z]{3,4}$'),
    benefit            text NOT NULL CHECK (benefit ~ '^[a-z0-9_]{2,40}$'),
    kind               text NOT NULL CHECK (kind IN ('percentage', 'copayment', 'remainder', 'flat')),
    rate_basis_points  integer CHECK (rate_basis_points BETWEEN 1 AND 100000),
    amount_cents       bigint CHECK (amount_cents >= 0),
    ceiling_cents      bigint CHECK (ceiling_cents >= 0),
    per                text NOT NULL CHECK (per IN ('act', 'equipment', 'day', 'stay', 'year')),
    approval           text NOT NULL CHECK (approval IN ('required', 'none')),
    PRIMARY KEY (insurer_id, product_version_id, domain, benefit),
    FOREIGN KEY (insurer_id, product_version_id) REFERENCES product_versions (insurer_id, id),
    CONSTRAINT benefit_lines_say_what_their_kind_needs
        CHECK ((rate_basis_points IS NOT NULL) = (kind = 'percentage') AND (amount_cents IS NOT NULL) = (kind = 'flat'))
);

-- Conventions ---------------------------------------------------------------------------------------------------------

CREATE TABLE conventions (
    id            uuid PRIMARY KEY DEFAULT uuidv7(),
    specialty     text NOT NULL CHECK (specialty ~ '^[a-z_]{2,30}$'),
    version       integer NOT NULL CHECK (version >= 1),
    title         text NOT NULL,
    text_markdown text NOT NULL,
    text_hash     bytea NOT NULL,
    domains       text[] NOT NULL CHECK (cardinality(domains) >= 1),
    payment_days  smallint NOT NULL CHECK (payment_days BETWEEN 0 AND 365),
    every_insurer boolean NOT NULL,
    validity      daterange NOT NULL CHECK (NOT isempty(validity) AND NOT lower_inf(validity)),
    published_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (specialty, version),
    CONSTRAINT conventions_in_force_one_at_a_time EXCLUDE USING gist (
        text_span(specialty, specialty, '[]') WITH &&, validity WITH &&
    )
);

CREATE TABLE convention_participants (
    convention_id uuid NOT NULL REFERENCES conventions,
    insurer_id    uuid NOT NULL REFERENCES insurers,
    PRIMARY KEY (convention_id, insurer_id)
);

CREATE TABLE convention_signatures (
    practitioner_id uuid NOT NULL REFERENCES practitioners,
    convention_id   uuid NOT NULL REFERENCES conventions,
    specialty       text NOT NULL,
    text_hash       bytea NOT NULL,
    signed_at       timestamptz NOT NULL,
    PRIMARY KEY (practitioner_id, convention_id)
);
CREATE INDEX convention_signatures_by_specialty ON convention_signatures (practitioner_id, specialty);

-- Cards ---------------------------------------------------------------------------------------------------------------

CREATE TABLE rights_imports (
    insurer_id  uuid NOT NULL REFERENCES insurers,
    id          uuid NOT NULL DEFAULT uuidv7(),
    mode        text NOT NULL CHECK (mode IN ('full', 'update')),
    lines       bigint NOT NULL,
    loaded      bigint NOT NULL,
    rejected    bigint NOT NULL,
    closed      bigint NOT NULL,
    started_at  timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    PRIMARY KEY (insurer_id, id),
    CONSTRAINT rights_imports_count_every_line CHECK (loaded + rejected = lines)
);

CREATE TABLE rights_rejects (
    insurer_id uuid NOT NULL,
    import_id  uuid NOT NULL,
    line       bigint NOT NULL,
    column_name text NOT NULL,
    code       text NOT NULL,
    PRIMARY KEY (insurer_id, import_id, line),
    FOREIGN KEY (insurer_id, import_id) REFERENCES rights_imports (insurer_id, id)
);

CREATE TABLE insured_rights (
    insurer_id        uuid NOT NULL,
    membership_number text NOT NULL CHECK (length(membership_number) BETWEEN 1 AND 16),
    birth_date        text NOT NULL CHECK (birth_date ~ '^[0-9]{8}$'),
    birth_rank        smallint NOT NULL CHECK (birth_rank BETWEEN 1 AND 9),
    valid_from        date NOT NULL,
    valid_to          date NOT NULL,
    convention_types  text[] NOT NULL,
    csr               text NOT NULL CHECK (length(csr) <= 8),
    product_code      text NOT NULL,
    import_id         uuid NOT NULL,
    PRIMARY KEY (insurer_id, membership_number, birth_date, birth_rank, valid_from),
    FOREIGN KEY (insurer_id) REFERENCES insurers,
    CONSTRAINT insured_rights_end_after_they_begin CHECK (valid_to >= valid_from)
);

CREATE TABLE card_checks (
    insurer_id         uuid NOT NULL,
    id                 uuid NOT NULL DEFAULT uuidv7(),
    practitioner_id    uuid NOT NULL,
    client_id          uuid,
    checked_at         timestamptz NOT NULL,
    domain             text NOT NULL,
    care_date          date NOT NULL,
    convention_type    text NOT NULL,
    csr                text NOT NULL,
    membership_number  text NOT NULL,
    birth_date         text NOT NULL,
    birth_rank         smallint NOT NULL,
    proof              text NOT NULL,
    proof_expires_at   timestamptz NOT NULL,
    idempotency_key    text,
    -- what was found, from which the answer follows
    convention_id      uuid,
    is_domain_agreed   boolean NOT NULL,
    has_signed         boolean NOT NULL,
    participates       boolean NOT NULL,
    holds_type         boolean NOT NULL,
    rights_from        date,
    rights_to          date,
    product_version_id uuid,
    PRIMARY KEY (insurer_id, id),
    UNIQUE (insurer_id, proof),
    FOREIGN KEY (insurer_id) REFERENCES insurers,
    FOREIGN KEY (practitioner_id) REFERENCES practitioners
);
CREATE UNIQUE INDEX card_checks_once_per_idempotency_key ON card_checks (insurer_id, practitioner_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL;
CREATE INDEX card_checks_by_idempotency_key ON card_checks (practitioner_id, idempotency_key)
    WHERE idempotency_key IS NOT NULL;

-- Prior approvals -----------------------------------------------------------------------------------------------------

CREATE TABLE prior_approvals (
    insurer_id        uuid NOT NULL REFERENCES insurers,
    id                uuid NOT NULL DEFAULT uuidv7(),
    practitioner_id   uuid NOT NULL REFERENCES practitioners,
    card_check_id     uuid NOT NULL,
    domain            text NOT NULL CHECK (domain ~ '^[A-Z]{3,4}$'),
    state             text NOT NULL,
    version           integer NOT NULL CHECK (version >= 1),
    care_date         date NOT NULL,
    prescription_date date NOT NULL,
    prescriber_rpps   text NOT NULL CHECK (length(prescriber_rpps) = 11),
    membership_number text NOT NULL,
    birth_date        text NOT NULL,
    birth_rank        smallint NOT NULL,
    valid_until       date,
    submitted_at      timestamptz NOT NULL,
    PRIMARY KEY (insurer_id, id),
    FOREIGN KEY (insurer_id, card_check_id) REFERENCES card_checks (insurer_id, id)
);
CREATE INDEX prior_approvals_by_practitioner ON prior_approvals (practitioner_id, id);

CREATE TABLE prior_approval_lines (
    insurer_id    uuid NOT NULL,
    approval_id   uuid NOT NULL,
    line          smallint NOT NULL CHECK (line >= 1),
    item          text NOT NULL,
    benefit       text NOT NULL,
    price_cents   bigint NOT NULL CHECK (price_cents >= 0),
    base_cents    bigint NOT NULL CHECK (base_cents >= 0),
    amo_cents     bigint NOT NULL CHECK (amo_cents >= 0),
    granted_cents bigint NOT NULL CHECK (granted_cents >= 0),
    patient_cents bigint NOT NULL CHECK (patient_cents >= 0),
    code          text NOT NULL,
    PRIMARY KEY (insurer_id, approval_id, line),
    FOREIGN KEY (insurer_id, approval_id) REFERENCES prior_approvals (insurer_id, id),
    CONSTRAINT prior_approval_lines_add_up CHECK (granted_cents + amo_cents + patient_cents = price_cents)
);

CREATE TABLE prior_approval_events (
    insurer_id  uuid NOT NULL,
    approval_id uuid NOT NULL,
    version     integer NOT NULL CHECK (version >= 1),
    kind        text NOT NULL,
    state       text NOT NULL,
    actor_kind  text NOT NULL,
    actor_id    uuid,
    reason_code text NOT NULL,
    occurred_at timestamptz NOT NULL,
    PRIMARY KEY (insurer_id, approval_id, version),
    FOREIGN KEY (insurer_id, approval_id) REFERENCES prior_approvals (insurer_id, id)
);
CREATE TRIGGER prior_approval_events_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON prior_approval_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- DRE tables ----------------------------------------------------------------------------------------------------------

CREATE TABLE dre_versions (
    version        integer PRIMARY KEY CHECK (version >= 1),
    effective_from date NOT NULL,
    published_at   timestamptz NOT NULL
);
CREATE TRIGGER dre_versions_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON dre_versions
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE TABLE dre_files (
    version   integer NOT NULL REFERENCES dre_versions,
    specialty text NOT NULL,
    format    text NOT NULL CHECK (format IN ('json', 'csv')),
    lines     integer NOT NULL,
    sha256    bytea NOT NULL,
    content   bytea NOT NULL,
    PRIMARY KEY (version, specialty, format)
);
CREATE TRIGGER dre_files_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON dre_files
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
