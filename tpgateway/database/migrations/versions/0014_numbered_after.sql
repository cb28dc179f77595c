-- A draft without a channel outlives its transaction: nobody waits for the insurer's counter while it is committed, and whoever
-- looks at the insurer's events first numbers it. One with a channel is numbered as its transaction commits, and told there.
ALTER TABLE insurer_event_drafts SET LOGGED;
ALTER TABLE insurer_event_drafts ALTER COLUMN channel DROP NOT NULL;
ALTER TABLE insurer_event_drafts DROP CONSTRAINT insurer_event_drafts_pkey;
ALTER TABLE insurer_event_drafts ADD PRIMARY KEY (insurer_id, id);
-- The event's id is that of its draft: told again, after the database went back to a moment between the two, it is known again.
ALTER TABLE insurer_event_drafts ADD COLUMN event_id uuid NOT NULL DEFAULT uuidv7();

-- Makes events of an insurer's drafts, in the order in which they were written; answers how many. Whose transaction sees another's
-- was written after it. The drafts are looked for once the counter is locked: a statement sees what was so when it began. They
-- come and go too fast for what the planner knows of their table.
CREATE FUNCTION number_events(of_insurer uuid) RETURNS bigint LANGUAGE plpgsql SET enable_seqscan = off AS $$
DECLARE
    before bigint;
    count bigint;
BEGIN
    IF NOT EXISTS (SELECT FROM insurer_event_drafts WHERE insurer_id = of_insurer) THEN
        RETURN 0;
    END IF;
    SELECT last INTO before FROM insurer_event_counters WHERE insurer_id = of_insurer FOR NO KEY UPDATE;
    WITH draft AS (
        DELETE FROM insurer_event_drafts WHERE insurer_id = of_insurer RETURNING id, event_id, kind, subject_id, data, occurred_at
    ), event AS (
        INSERT INTO insurer_events (insurer_id, sequence, id, kind, subject_id, data, occurred_at)
        SELECT of_insurer, before + row_number() OVER (ORDER BY d.id), d.event_id, d.kind, d.subject_id, d.data, d.occurred_at
        FROM draft d
        RETURNING sequence, id, kind, subject_id
    ), posted AS (
        INSERT INTO insurer_outbox (insurer_id, endpoint_id, sequence, event_id, subject_id, due_at)
        SELECT of_insurer, p.id, e.sequence, e.id, e.subject_id, now()
        FROM insurer_endpoints p JOIN event e ON p.kinds IS NULL OR e.kind = ANY (p.kinds)
        WHERE p.insurer_id = of_insurer AND p.removed_at IS NULL AND p.disabled_at IS NULL
    )
    SELECT count(*) INTO count FROM event;
    UPDATE insurer_event_counters SET last = before + count WHERE insurer_id = of_insurer AND count > 0;
    RETURN count;
END $$;

CREATE OR REPLACE FUNCTION append_event() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    PERFORM number_events(NEW.insurer_id);
    PERFORM pg_notify(NEW.channel, NEW.insurer_id::text);
    RETURN NULL;
END $$;
DROP TRIGGER appended_at_commit ON insurer_event_drafts;
CREATE CONSTRAINT TRIGGER appended_at_commit AFTER INSERT ON insurer_event_drafts
    DEFERRABLE INITIALLY DEFERRED FOR EACH ROW WHEN (NEW.channel IS NOT NULL) EXECUTE FUNCTION append_event();
