-- What is append-only goes when its time is over, or when a person's data is to be erased: by the functions of this revision, and
-- by them alone. Whoever serves still has no right to UPDATE or DELETE there.
CREATE OR REPLACE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP = 'DELETE' AND current_setting('tpgateway.forgets', true) = 'yes' THEN
        RETURN NULL;
    END IF;
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE OR REPLACE FUNCTION refuse_to_forget_early() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF OLD.occurred_at > now() - interval '13 months' AND current_setting('tpgateway.forgets', true) IS DISTINCT FROM 'yes' THEN
        RAISE EXCEPTION '% is kept for 13 months', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN OLD;
END $$;

-- The moment before which something is old. A setting may shorten a period so far and no further, whoever set it.
CREATE FUNCTION older_than(months integer, at_least integer) RETURNS timestamptz LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF months < at_least THEN
        RAISE EXCEPTION 'kept for % months at least', at_least USING ERRCODE = 'restrict_violation';
    END IF;
    RETURN now() - make_interval(months => months);
END $$;
-- Ids begin with their moment; the database's clock made them, and others wrote the times beside them.
CREATE FUNCTION first_id(moment timestamptz) RETURNS uuid LANGUAGE sql IMMUTABLE AS $$
    SELECT (lpad(to_hex((extract(epoch FROM moment) * 1000)::bigint), 12, '0') || repeat('0', 20))::uuid
$$;

-- Card checks ---------------------------------------------------------------------------------------------------------

-- What a day's digest holds of a check. Columns are named one by one: those of a later schema do not change it.
CREATE FUNCTION check_leaf(k card_checks) RETURNS bytea LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT sha256(convert_to(concat_ws('|',
        k.insurer_id, k.id, k.practitioner_id, coalesce(k.agent_id::text, '-'),
        extract(epoch FROM k.checked_at), k.domain, k.care_date - DATE '2000-01-01', k.convention_type, k.csr,
        k.membership_number, k.birth_date, k.birth_rank, k.proof, extract(epoch FROM k.proof_expires_at),
        coalesce(k.convention_id::text, '-'), k.is_domain_agreed, k.has_signed, k.participates, k.holds_type,
        coalesce((k.rights_from - DATE '2000-01-01')::text, '-'), coalesce((k.rights_to - DATE '2000-01-01')::text, '-'),
        coalesce(k.product_version_id::text, '-'),
        CASE WHEN k.nir_hash IS NOT NULL OR k.is_ambiguous OR k.is_silent OR NOT k.holds_csr
             THEN concat_ws('|', coalesce(encode(k.nir_hash, 'hex'), '-'), k.is_ambiguous, k.is_silent, k.holds_csr) END
        ), 'UTF8'))
$$;

-- What is left of a check whose person was forgotten: the audit trail's entry, and its part of the day's digest.
CREATE TABLE card_check_traces (
    insurer_id      uuid NOT NULL,
    id              uuid NOT NULL,
    practitioner_id uuid NOT NULL,
    agent_id        uuid,
    checked_at      timestamptz NOT NULL,
    leaf            bytea NOT NULL CHECK (length(leaf) = 32),
    PRIMARY KEY (insurer_id, id)
);
CREATE INDEX card_check_traces_by_practitioner ON card_check_traces (practitioner_id, id);
CREATE INDEX card_check_traces_by_day ON card_check_traces USING brin (checked_at);
CREATE TRIGGER card_check_traces_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON card_check_traces
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

CREATE OR REPLACE VIEW audit_trail AS
SELECT id, occurred_at, actor_kind, actor_id, agent_id, action, insurer_id, subject_id, request_id FROM audit_entries
UNION ALL
SELECT id, checked_at, 'practitioner', practitioner_id, agent_id, 'card:check:do', insurer_id, id, NULL
FROM card_checks
UNION ALL
SELECT id, checked_at, 'practitioner', practitioner_id, agent_id, 'card:check:do', insurer_id, id, NULL
FROM card_check_traces;

-- An approval names the check that it stands on for longer than the check is kept.
ALTER TABLE prior_approvals DROP CONSTRAINT prior_approvals_insurer_id_card_check_id_fkey;
CREATE INDEX prior_approvals_by_check ON prior_approvals (insurer_id, card_check_id);

-- Leaves the trace of some old checks; not of those whose approval may still be changed, which is decided by them.
CREATE FUNCTION forget_card_checks(months integer, most integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET tpgateway.forgets = 'yes' AS $$
DECLARE
    past CONSTANT timestamptz := older_than(months, 6);
    forgotten bigint;
BEGIN
    WITH old AS MATERIALIZED (
        SELECT i.id AS insurer_id, k.id FROM insurers i CROSS JOIN LATERAL (
            SELECT k.id FROM card_checks k
            WHERE k.insurer_id = i.id AND k.id < first_id(past) AND k.checked_at < past
              AND NOT EXISTS (SELECT FROM prior_approvals a
                              WHERE a.insurer_id = k.insurer_id AND a.card_check_id = k.id AND a.due_at IS NOT NULL)
            ORDER BY k.id LIMIT most
        ) k LIMIT most
    ), gone AS (
        DELETE FROM card_checks k USING old WHERE k.insurer_id = old.insurer_id AND k.id = old.id
        RETURNING k.insurer_id, k.id, k.practitioner_id, k.agent_id, k.checked_at, check_leaf(k) AS leaf
    ), traces AS (
        INSERT INTO card_check_traces SELECT * FROM gone RETURNING 1
    )
    SELECT count(*) INTO forgotten FROM traces;
    RETURN forgotten;
END $$;

-- Prior approvals -----------------------------------------------------------------------------------------------------

-- What ended long ago, out of everybody's reach: sealed whole, found by a keyed hash of its person. Benefits that were used stay
-- known, as contracts ask for what was paid years ago.
CREATE TABLE archived_approvals (
    insurer_id  uuid NOT NULL,
    id          uuid NOT NULL,
    person_hash bytea NOT NULL CHECK (length(person_hash) = 32),
    ended_at    timestamptz NOT NULL,
    attachments uuid[] NOT NULL,
    sealed      bytea NOT NULL,
    archived_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (insurer_id, id)
);
CREATE INDEX archived_approvals_by_person ON archived_approvals (insurer_id, person_hash);
CREATE INDEX archived_approvals_by_end ON archived_approvals (ended_at);
ALTER TABLE benefit_uses DROP CONSTRAINT benefit_uses_insurer_id_approval_id_fkey;

-- When an approval ended whose clocks are at rest; null where one runs.
CREATE FUNCTION ended_at(a prior_approvals) RETURNS timestamptz LANGUAGE sql STABLE AS $$
    SELECT CASE WHEN a.due_at IS NULL THEN max(e.occurred_at) END
    FROM prior_approval_events e WHERE e.insurer_id = a.insurer_id AND e.approval_id = a.id
$$;

-- Takes an approval away with all that belongs to it, but for its documents' pieces and what was used.
CREATE FUNCTION remove_approval(of_insurer uuid, approval uuid) RETURNS void
    LANGUAGE sql SET search_path = public, pg_temp SET tpgateway.forgets = 'yes' AS $$
    DELETE FROM prior_approval_attachments WHERE insurer_id = of_insurer AND approval_id = approval;
    DELETE FROM prior_approval_lines WHERE insurer_id = of_insurer AND approval_id = approval;
    DELETE FROM prior_approval_events WHERE insurer_id = of_insurer AND approval_id = approval;
    DELETE FROM prior_approvals WHERE insurer_id = of_insurer AND id = approval;
$$;
REVOKE ALL ON FUNCTION remove_approval FROM PUBLIC;

-- Moves an approval into the archive, if it ended so long ago; answers whether.
CREATE FUNCTION archive_approval(of_insurer uuid, approval uuid, months integer, of_person bytea, as_sealed bytea) RETURNS boolean
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    past CONSTANT timestamptz := older_than(months, 12);
    ended timestamptz;
BEGIN
    SELECT ended_at(a) INTO ended FROM prior_approvals a WHERE a.insurer_id = of_insurer AND a.id = approval FOR UPDATE;
    IF ended IS NULL OR ended >= past THEN
        RETURN false;
    END IF;
    INSERT INTO archived_approvals (insurer_id, id, person_hash, ended_at, attachments, sealed)
    SELECT of_insurer, approval, of_person, ended, coalesce(array_agg(d.id), '{}'), as_sealed
    FROM prior_approval_attachments d WHERE d.insurer_id = of_insurer AND d.approval_id = approval;
    PERFORM remove_approval(of_insurer, approval);
    RETURN true;
END $$;

-- Removes what has been archived long enough, with its documents and what it used.
CREATE FUNCTION forget_archived_approvals(months integer, most integer) RETURNS bigint
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    past CONSTANT timestamptz := older_than(months, 24);
    forgotten bigint;
BEGIN
    WITH old AS MATERIALIZED (
        SELECT insurer_id, id, attachments FROM archived_approvals WHERE ended_at < past
        ORDER BY ended_at LIMIT most
    ), pieces AS (
        DELETE FROM prior_approval_attachment_pieces p USING old
        WHERE p.insurer_id = old.insurer_id AND p.attachment_id = ANY (old.attachments)
    ), uses AS (
        DELETE FROM benefit_uses u USING old WHERE u.insurer_id = old.insurer_id AND u.approval_id = old.id
    ), gone AS (
        DELETE FROM archived_approvals a USING old WHERE a.insurer_id = old.insurer_id AND a.id = old.id RETURNING 1
    )
    SELECT count(*) INTO forgotten FROM gone;
    RETURN forgotten;
END $$;

-- The audit trail -----------------------------------------------------------------------------------------------------

-- Days whose entries went when their time was over. What closed them stays, so that the chain goes on from there.
CREATE TABLE audit_days_forgotten (
    day          date PRIMARY KEY REFERENCES audit_days,
    forgotten_at timestamptz NOT NULL DEFAULT now()
);
CREATE TRIGGER audit_days_forgotten_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_days_forgotten
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Removes the entries of the oldest closed day, if it is so old; answers which day, null where none is.
CREATE FUNCTION forget_audit_day(months integer) RETURNS date
    LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp SET tpgateway.forgets = 'yes' AS $$
DECLARE
    past CONSTANT timestamptz := older_than(months, 12);
    oldest date;
BEGIN
    SELECT min(d.day) INTO oldest FROM audit_days d
    WHERE NOT EXISTS (SELECT FROM audit_days_forgotten f WHERE f.day = d.day);
    IF oldest IS NULL OR oldest >= (past AT TIME ZONE 'UTC')::date THEN
        RETURN NULL;
    END IF;
    INSERT INTO audit_days_forgotten (day) VALUES (oldest);
    WITH links AS (DELETE FROM audit_links WHERE day = oldest RETURNING entry_id)
    DELETE FROM audit_entries e USING links WHERE e.id = links.entry_id;
    DELETE FROM card_check_traces
    WHERE checked_at >= oldest::timestamp AT TIME ZONE 'UTC' AND checked_at < (oldest + 1)::timestamp AT TIME ZONE 'UTC';
    RETURN oldest;
END $$;

-- One person ----------------------------------------------------------------------------------------------------------

-- Erases all that is kept of an insured person but what no longer says who it was. For the operator: whoever serves may not.
CREATE FUNCTION erase_person(of_insurer uuid, number text, born text, rank smallint, of_person bytea) RETURNS json
    LANGUAGE plpgsql SET search_path = public, pg_temp SET tpgateway.forgets = 'yes' AS $$
DECLARE
    theirs uuid[];
    documents uuid[];
    nir bytea;
    rights bigint; nirs bigint; checks bigint; archived bigint; told bigint;
BEGIN
    SELECT coalesce(array_agg(id), '{}') INTO theirs FROM (
        SELECT a.id FROM prior_approvals a WHERE a.insurer_id = of_insurer AND a.membership_number = number
           AND a.birth_date = born AND a.birth_rank = rank FOR UPDATE) a;
    SELECT coalesce(array_agg(d), '{}') INTO documents FROM (
        SELECT d.id AS d FROM prior_approval_attachments d WHERE d.insurer_id = of_insurer AND d.approval_id = ANY (theirs)
        UNION ALL
        SELECT unnest(attachments) FROM archived_approvals WHERE insurer_id = of_insurer AND person_hash = of_person) d;
    SELECT n.nir_hash INTO nir FROM insured_nirs n
    WHERE n.insurer_id = of_insurer AND n.membership_number = number AND n.birth_date = born AND n.birth_rank = rank;

    PERFORM remove_approval(of_insurer, each) FROM unnest(theirs) AS each;
    DELETE FROM prior_approval_attachment_pieces WHERE insurer_id = of_insurer AND attachment_id = ANY (documents);
    WITH gone AS (DELETE FROM archived_approvals WHERE insurer_id = of_insurer AND person_hash = of_person RETURNING id)
    SELECT count(*), theirs || coalesce(array_agg(id), '{}') INTO archived, theirs FROM gone;
    DELETE FROM benefit_uses
    WHERE insurer_id = of_insurer AND membership_number = number AND birth_date = born AND birth_rank = rank;
    DELETE FROM insurer_deliveries d USING insurer_events e
    WHERE e.insurer_id = of_insurer AND e.subject_id = ANY (theirs) AND d.insurer_id = of_insurer AND d.event_id = e.id;
    DELETE FROM insurer_outbox WHERE insurer_id = of_insurer AND subject_id = ANY (theirs);
    WITH gone AS (DELETE FROM insurer_events WHERE insurer_id = of_insurer AND subject_id = ANY (theirs) RETURNING 1)
    SELECT count(*) INTO told FROM gone;
    WITH gone AS (
        DELETE FROM card_checks k WHERE k.insurer_id = of_insurer AND k.birth_date = born
           AND (k.membership_number = number AND k.birth_rank = rank OR k.nir_hash = nir)
        RETURNING k.insurer_id, k.id, k.practitioner_id, k.agent_id, k.checked_at, check_leaf(k) AS leaf
    ), traces AS (INSERT INTO card_check_traces SELECT * FROM gone RETURNING 1)
    SELECT count(*) INTO checks FROM traces;
    WITH gone AS (DELETE FROM insured_rights r WHERE r.insurer_id = of_insurer AND r.membership_number = number
                     AND r.birth_date = born AND r.birth_rank = rank RETURNING 1)
    SELECT count(*) INTO rights FROM gone;
    WITH gone AS (DELETE FROM insured_nirs n WHERE n.insurer_id = of_insurer AND n.membership_number = number
                     AND n.birth_date = born AND n.birth_rank = rank RETURNING 1)
    SELECT count(*) INTO nirs FROM gone;
    RETURN json_build_object('rights', rights, 'nirs', nirs, 'card_checks', checks,
                             'prior_approvals', cardinality(theirs) - archived, 'archived_approvals', archived, 'events', told);
END $$;
REVOKE ALL ON FUNCTION erase_person FROM PUBLIC;

-- Who may what ----------------------------------------------------------------------------------------------------------

REVOKE ALL ON FUNCTION forget_card_checks, archive_approval, forget_archived_approvals, forget_audit_day FROM PUBLIC;
GRANT EXECUTE ON FUNCTION forget_card_checks, archive_approval, forget_archived_approvals, forget_audit_day
    TO tpgateway_service;
GRANT SELECT, UPDATE ON archived_approvals TO tpgateway_service;  -- UPDATE: to seal it anew
REVOKE INSERT, DELETE ON archived_approvals FROM tpgateway_service;
GRANT SELECT ON card_check_traces, audit_days_forgotten TO tpgateway_service;
REVOKE INSERT, UPDATE, DELETE ON card_check_traces, audit_days_forgotten FROM tpgateway_service;

ALTER TABLE card_check_traces ENABLE ROW LEVEL SECURITY;
CREATE POLICY own_rows ON card_check_traces TO tpgateway_service
    USING (is_insurers(insurer_id) AND is_practitioners(practitioner_id));
-- The archive is nobody's who calls: only what acts for no account sees it.
ALTER TABLE archived_approvals ENABLE ROW LEVEL SECURITY;
CREATE POLICY nobodys_rows ON archived_approvals TO tpgateway_service
    USING (is_insurers(NULL) AND is_practitioners(NULL));
