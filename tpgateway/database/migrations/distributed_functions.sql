-- Functions that do on a cluster what those of the same names do on one server. Statements name an insurer at a time.

-- A shard's row is of a type of its own; what is in it is the same, and so is the digest. Only what is called immutable may be
-- returned by what deletes; nothing in it depends on a setting.
ALTER FUNCTION check_leaf(card_checks) IMMUTABLE;
DO $$
BEGIN
    EXECUTE format('CREATE FUNCTION check_leaf(k record) RETURNS bytea LANGUAGE plpgsql IMMUTABLE PARALLEL SAFE AS %L',
                   (SELECT 'BEGIN RETURN (' || prosrc || '); END' FROM pg_proc WHERE oid = 'check_leaf(card_checks)'::regprocedure));
END $$;

CREATE OR REPLACE FUNCTION forget_card_checks(months integer, most integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET tpgateway.forgets = 'yes' AS $$
DECLARE
    past CONSTANT timestamptz := older_than(months, 6);
    first CONSTANT uuid := first_id(past);
    forgotten bigint := 0;
    here bigint;
    one uuid;
BEGIN
    FOR one IN SELECT id FROM insurers ORDER BY id LOOP
        WITH old AS (
            SELECT k.id FROM card_checks k
            WHERE k.insurer_id = one AND k.id < first AND k.checked_at < past
              AND NOT EXISTS (SELECT FROM prior_approvals a
                              WHERE a.insurer_id = one AND a.card_check_id = k.id AND a.due_at IS NOT NULL)
            ORDER BY k.id LIMIT most - forgotten
        ), gone AS (
            DELETE FROM card_checks k USING old WHERE k.insurer_id = one AND k.id = old.id
            RETURNING k.insurer_id, k.id, k.practitioner_id, k.agent_id, k.checked_at, check_leaf(k) AS leaf
        ), traces AS (
            INSERT INTO card_check_traces SELECT * FROM gone RETURNING 1
        )
        SELECT count(*) INTO here FROM traces;
        forgotten := forgotten + here;
        EXIT WHEN forgotten >= most;
    END LOOP;
    RETURN forgotten;
END $$;

CREATE OR REPLACE FUNCTION remove_approval(of_insurer uuid, approval uuid) RETURNS void
    LANGUAGE plpgsql SET search_path = public, pg_temp SET tpgateway.forgets = 'yes' AS $$
BEGIN
    DELETE FROM prior_approval_attachments WHERE insurer_id = of_insurer AND approval_id = approval;
    DELETE FROM prior_approval_lines WHERE insurer_id = of_insurer AND approval_id = approval;
    DELETE FROM prior_approval_events WHERE insurer_id = of_insurer AND approval_id = approval;
    DELETE FROM prior_approvals WHERE insurer_id = of_insurer AND id = approval;
END $$;

-- The caller cannot hold the row: the owner comes to its server on another connection. So it is locked, and then judged.
CREATE OR REPLACE FUNCTION archive_approval(of_insurer uuid, approval uuid, months integer, of_person bytea, as_sealed bytea)
    RETURNS boolean LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    past CONSTANT timestamptz := older_than(months, 12);
    due timestamptz;
    ended timestamptz;
    documents uuid[];
BEGIN
    SELECT a.due_at INTO due FROM prior_approvals a WHERE a.insurer_id = of_insurer AND a.id = approval FOR UPDATE;
    SELECT max(e.occurred_at) INTO ended FROM prior_approval_events e
    WHERE e.insurer_id = of_insurer AND e.approval_id = approval;
    IF due IS NOT NULL OR ended IS NULL OR ended >= past THEN
        RETURN false;
    END IF;
    SELECT coalesce(array_agg(d.id), '{}') INTO documents
    FROM prior_approval_attachments d WHERE d.insurer_id = of_insurer AND d.approval_id = approval;
    INSERT INTO archived_approvals (insurer_id, id, person_hash, ended_at, attachments, sealed)
    VALUES (of_insurer, approval, of_person, ended, documents, as_sealed);
    PERFORM remove_approval(of_insurer, approval);
    RETURN true;
END $$;
