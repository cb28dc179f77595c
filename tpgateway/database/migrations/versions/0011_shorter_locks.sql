-- Events to insurers --------------------------------------------------------------------------------------------------

-- What an insurer is told gets its number as the transaction commits. The counter, for which the insurer's other transactions
-- wait, is then locked for no longer than that takes: not while the program that began it does something else.
CREATE UNLOGGED TABLE insurer_event_drafts (
    id          bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    insurer_id  uuid NOT NULL,
    kind        text NOT NULL,
    subject_id  uuid NOT NULL,
    data        jsonb NOT NULL,
    occurred_at timestamptz NOT NULL,
    channel     text NOT NULL
);
ALTER TABLE insurer_event_drafts ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON insurer_event_drafts TO tpgateway_service USING (is_insurers(insurer_id));

CREATE FUNCTION append_event() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE
    number bigint;
    event uuid;
BEGIN
    DELETE FROM insurer_event_drafts WHERE id = NEW.id;
    UPDATE insurer_event_counters SET last = last + 1 WHERE insurer_id = NEW.insurer_id RETURNING last INTO number;
    INSERT INTO insurer_events (insurer_id, sequence, kind, subject_id, data, occurred_at)
    VALUES (NEW.insurer_id, number, NEW.kind, NEW.subject_id, NEW.data, NEW.occurred_at) RETURNING id INTO event;
    INSERT INTO insurer_outbox (insurer_id, endpoint_id, sequence, event_id, subject_id, due_at)
    SELECT NEW.insurer_id, p.id, number, event, NEW.subject_id, now()
    FROM insurer_endpoints p
    WHERE p.insurer_id = NEW.insurer_id AND p.removed_at IS NULL AND p.disabled_at IS NULL
      AND (p.kinds IS NULL OR NEW.kind = ANY (p.kinds));
    PERFORM pg_notify(NEW.channel, NEW.insurer_id::text);
    RETURN NULL;
END $$;
CREATE CONSTRAINT TRIGGER appended_at_commit AFTER INSERT ON insurer_event_drafts
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION append_event();

-- Benefits ------------------------------------------------------------------------------------------------------------

-- Others who decide on this person's benefits wait until the transaction ends.
CREATE FUNCTION lock_benefits(of_insurer uuid, number text, born text, rank smallint) RETURNS void LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(hashtextextended(concat_ws(' ', 'benefits', of_insurer, number, born, rank), 0))
$$;

-- What somebody used of the benefits, once nobody else decides on them: a statement sees what was so when it began, and the
-- second one here begins when the lock is had.
CREATE FUNCTION lock_benefit_uses(of_insurer uuid, number text, born text, rank smallint) RETURNS SETOF benefit_uses
    LANGUAGE plpgsql AS $$
BEGIN
    PERFORM lock_benefits(of_insurer, number, born, rank);
    RETURN QUERY SELECT u.* FROM benefit_uses u
        WHERE u.insurer_id = of_insurer AND u.membership_number = number AND u.birth_date = born AND u.birth_rank = rank
        ORDER BY u.used_on, u.approval_id, u.line;
END $$;
