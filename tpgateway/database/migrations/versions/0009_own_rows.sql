-- The second wall: where a statement forgets whose rows it is about, the database does not. A transaction says for whom it is
-- by settings of its own; one that says nothing (the worker, commands) sees all. Programs of before say nothing.

CREATE FUNCTION is_insurers(id uuid) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce(current_setting('tpgateway.insurer', true), '') = ''
        OR id IS NOT DISTINCT FROM nullif(current_setting('tpgateway.insurer', true), '')::uuid
$$;
CREATE FUNCTION is_practitioners(id uuid) RETURNS boolean LANGUAGE sql STABLE PARALLEL SAFE AS $$
    SELECT coalesce(current_setting('tpgateway.practitioner', true), '') = ''
        OR id IS NOT DISTINCT FROM nullif(current_setting('tpgateway.practitioner', true), '')::uuid
$$;

-- An insurer's own.
DO $$
DECLARE each text;
BEGIN
    FOREACH each IN ARRAY ARRAY[
        'insured_rights', 'insured_nirs', 'rights_imports', 'rights_rejects', 'rights_uploads', 'product_versions',
        'benefit_lines', 'insurer_clients', 'insurer_endpoints', 'insurer_event_counters', 'insurer_events',
        'insurer_deliveries', 'insurer_outbox', 'insurer_feed_cursors', 'insurer_live_sources', 'card_check_days',
        'benefit_uses', 'prior_approval_lines', 'prior_approval_events', 'prior_approval_attachments',
        'prior_approval_attachment_pieces'
    ] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', each);
        EXECUTE format('CREATE POLICY own_rows ON %I TO tpgateway_service USING (is_insurers(insurer_id))', each);
    END LOOP;
    -- A practitioner's own.
    FOREACH each IN ARRAY ARRAY[
        'practitioner_clients', 'practitioner_reviews', 'bank_details', 'convention_signatures', 'check_locks', 'dre_readers',
        'dre_subscriptions'
    ] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', each);
        EXECUTE format(
            'CREATE POLICY own_rows ON %I TO tpgateway_service USING (is_practitioners(practitioner_id))', each);
    END LOOP;
    -- What is between the two.
    FOREACH each IN ARRAY ARRAY['card_checks', 'prior_approvals'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', each);
        EXECUTE format(
            'CREATE POLICY own_rows ON %I TO tpgateway_service'
            ' USING (is_insurers(insurer_id) AND is_practitioners(practitioner_id))', each);
    END LOOP;
END $$;

-- Card checks of many accounts are gathered into one statement, which no such setting can speak for, and which the policies
-- above would slow to a third. It acts under a role of its own, which may do what that statement does and nothing else. The
-- service may become that role; were it to inherit it, these policies would be the service's too.
DO $$
BEGIN
    IF NOT EXISTS (SELECT FROM pg_roles WHERE rolname = 'tpgateway_checks') THEN
        CREATE ROLE tpgateway_checks NOLOGIN;
        GRANT tpgateway_checks TO tpgateway_service WITH INHERIT FALSE;
    END IF;
EXCEPTION
    WHEN duplicate_object OR unique_violation THEN NULL;  -- made at this moment, for another database of the server
    WHEN insufficient_privilege THEN
        RAISE EXCEPTION 'the role tpgateway_checks is missing'
            USING HINT = 'As an administrator: CREATE ROLE tpgateway_checks NOLOGIN; GRANT tpgateway_checks TO tpgateway_service WITH INHERIT FALSE';
END $$;
GRANT USAGE ON SCHEMA public TO tpgateway_checks;
GRANT SELECT (id, specialty) ON practitioners TO tpgateway_checks;
GRANT SELECT (id, number, state) ON insurers TO tpgateway_checks;
GRANT SELECT (insurer_id, set_at) ON insurer_live_sources TO tpgateway_checks;
GRANT SELECT ON check_locks, convention_participants, convention_signatures, conventions, insured_nirs, insured_rights,
    product_versions TO tpgateway_checks;
GRANT SELECT, INSERT ON card_checks TO tpgateway_checks;

CREATE POLICY checks_look_up ON check_locks FOR SELECT TO tpgateway_checks USING (true);
CREATE POLICY checks_look_up ON convention_signatures FOR SELECT TO tpgateway_checks USING (true);
CREATE POLICY checks_look_up ON insured_nirs FOR SELECT TO tpgateway_checks USING (true);
CREATE POLICY checks_look_up ON insured_rights FOR SELECT TO tpgateway_checks USING (true);
CREATE POLICY checks_look_up ON insurer_live_sources FOR SELECT TO tpgateway_checks USING (true);
CREATE POLICY checks_look_up ON product_versions FOR SELECT TO tpgateway_checks USING (true);
CREATE POLICY checks_look_up ON card_checks FOR SELECT TO tpgateway_checks USING (true);
CREATE POLICY checks_are_recorded ON card_checks FOR INSERT TO tpgateway_checks WITH CHECK (true);
