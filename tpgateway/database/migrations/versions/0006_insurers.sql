-- Accounts ------------------------------------------------------------------------------------------------------------

ALTER TABLE insurers
    -- [{"name": …, "email": …}]: who is written to when something of theirs fails.
    ADD COLUMN contacts jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(contacts) = 'array'),
    ADD COLUMN suspended_at timestamptz,
    ADD COLUMN suspended_for text;

ALTER TABLE insurer_clients
    ALTER COLUMN public_jwk DROP NOT NULL,
    ADD COLUMN name text NOT NULL DEFAULT 'first key' CHECK (length(name) BETWEEN 1 AND 100),
    -- Keys stand in the client itself, or at an address of the insurer's, from which they were last read.
    ADD COLUMN jwks_url text CHECK (length(jwks_url) BETWEEN 10 AND 2000),
    ADD COLUMN jwks jsonb,
    ADD COLUMN jwks_read_at timestamptz,
    ADD COLUMN former_public_jwk jsonb,
    ADD COLUMN former_jwks jsonb,
    ADD COLUMN former_until timestamptz,
    ADD COLUMN last_used_at timestamptz,
    ADD CONSTRAINT insurer_clients_have_keys_in_one_place CHECK ((public_jwk IS NULL) <> (jwks_url IS NULL));
CREATE INDEX insurer_clients_by_insurer ON insurer_clients (insurer_id);

-- Endpoints -----------------------------------------------------------------------------------------------------------

ALTER TABLE insurer_endpoints
    ADD COLUMN kinds text[] CHECK (cardinality(kinds) >= 1),  -- null: every kind, those to come included
    ADD COLUMN format text NOT NULL DEFAULT 'json' CHECK (format IN ('json', 'xml')),
    ADD COLUMN signing_key bytea,  -- sealed Ed25519 seed; null for endpoints from before there were any
    ADD COLUMN public_key text,
    ADD COLUMN first_sequence bigint NOT NULL DEFAULT 1,  -- of the events that it may get
    ADD COLUMN former_secret bytea,
    ADD COLUMN former_signing_key bytea,
    ADD COLUMN former_until timestamptz,
    ADD COLUMN failing_since timestamptz,
    ADD COLUMN disabled_at timestamptz,
    ADD COLUMN disabled_for text CHECK (disabled_for IN ('gone', 'failing', 'asked')),
    ADD CONSTRAINT insurer_endpoints_are_disabled_for_a_reason CHECK ((disabled_at IS NULL) = (disabled_for IS NULL));

-- What is to be posted, and nothing else: a row goes when its event was taken or is given up. Who posts it at this moment holds a
-- lease, by which it alone may say what came of it. No foreign keys: events are inserted by the same statement.
CREATE TABLE insurer_outbox (
    insurer_id  uuid NOT NULL,
    endpoint_id uuid NOT NULL,
    sequence    bigint NOT NULL,
    event_id    uuid NOT NULL,
    subject_id  uuid NOT NULL,
    tries       smallint NOT NULL DEFAULT 0,
    due_at      timestamptz NOT NULL,
    leased_until timestamptz,
    PRIMARY KEY (insurer_id, endpoint_id, sequence)
);
CREATE INDEX insurer_outbox_by_time ON insurer_outbox (insurer_id, endpoint_id, due_at, sequence);
CREATE INDEX insurer_outbox_by_subject ON insurer_outbox (insurer_id, endpoint_id, subject_id, sequence);

CREATE INDEX insurer_deliveries_by_endpoint ON insurer_deliveries (insurer_id, endpoint_id, attempted_at);

-- Deliveries that wait as jobs of the queue go over to it.
INSERT INTO insurer_outbox (insurer_id, endpoint_id, sequence, event_id, subject_id, tries, due_at)
SELECT e.insurer_id, p.id, e.sequence, e.id, e.subject_id,
       (SELECT count(*) FROM insurer_deliveries d
        WHERE d.insurer_id = e.insurer_id AND d.event_id = e.id AND d.endpoint_id = p.id), j.execute_after
FROM queue.pgqueuer j
CROSS JOIN LATERAL (SELECT convert_from(j.payload, 'UTF8')::jsonb AS ids) AS job
JOIN insurer_events e ON e.insurer_id = (job.ids ->> 'insurer')::uuid AND e.id = (job.ids ->> 'event')::uuid
JOIN insurer_endpoints p ON p.insurer_id = e.insurer_id AND p.id = (job.ids ->> 'endpoint')::uuid AND p.removed_at IS NULL
WHERE j.entrypoint = 'deliver_event'
ON CONFLICT DO NOTHING;
DELETE FROM queue.pgqueuer WHERE entrypoint = 'deliver_event';

-- Events --------------------------------------------------------------------------------------------------------------

-- How far each insurer has read its feed: the largest `after` that it asked with.
CREATE TABLE insurer_feed_cursors (
    insurer_id uuid PRIMARY KEY REFERENCES insurers,
    after      bigint NOT NULL
);

-- Events are kept for 13 months. Until then they are append-only as ever, and then it is this function that removes them: the
-- service's role still may not.
CREATE INDEX insurer_events_by_time ON insurer_events (occurred_at);
CREATE FUNCTION forget_insurer_events(most integer) RETURNS bigint
    LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH old AS (
        SELECT insurer_id, id FROM insurer_events WHERE occurred_at < now() - interval '13 months'
        ORDER BY occurred_at LIMIT most
    ), log AS (
        DELETE FROM insurer_deliveries d USING old WHERE d.insurer_id = old.insurer_id AND d.event_id = old.id
    ), outbox AS (
        DELETE FROM insurer_outbox o USING old WHERE o.insurer_id = old.insurer_id AND o.event_id = old.id
    ), events AS (
        DELETE FROM insurer_events e USING old WHERE e.insurer_id = old.insurer_id AND e.id = old.id RETURNING 1
    )
    SELECT count(*) FROM events
$$;
REVOKE ALL ON FUNCTION forget_insurer_events FROM PUBLIC;
GRANT EXECUTE ON FUNCTION forget_insurer_events TO tpgateway_service;
CREATE FUNCTION refuse_to_forget_early() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.occurred_at > now() - interval '13 months' THEN
        RAISE EXCEPTION '% is kept for 13 months', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN OLD;
END $$;
DROP TRIGGER insurer_events_append_only ON insurer_events;
CREATE TRIGGER insurer_events_append_only BEFORE UPDATE OR TRUNCATE ON insurer_events
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();
CREATE TRIGGER insurer_events_kept BEFORE DELETE ON insurer_events
    FOR EACH ROW EXECUTE FUNCTION refuse_to_forget_early();

-- Conventions are left with notice: `left_on` is the first day on which one takes part no more.
ALTER TABLE conventions ADD COLUMN notice_days smallint NOT NULL DEFAULT 30 CHECK (notice_days BETWEEN 0 AND 365);
ALTER TABLE convention_signatures ADD COLUMN left_on date;

-- A contract may pay for glasses again at any time.
ALTER TABLE benefit_lines
    DROP CONSTRAINT benefit_lines_renewal_months_check,
    ADD CONSTRAINT benefit_lines_renewal_months_check CHECK (renewal_months BETWEEN 0 AND 120);

-- The sandbox's clock: by how many days what software asks is decided later than it is. Of no effect outside a sandbox.
CREATE TABLE sandbox_clock (
    is_the_one boolean PRIMARY KEY DEFAULT true CHECK (is_the_one),
    days       integer NOT NULL CHECK (days BETWEEN 0 AND 1000)
);

GRANT SELECT, INSERT, UPDATE, DELETE ON insurer_outbox, insurer_feed_cursors, sandbox_clock TO tpgateway_service;
