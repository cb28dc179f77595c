-- A schema on Citus: data of insured people is spread by insurer, what is looked up beside it is on every node. Events to insurers
-- stay on the coordinator, where one counter an insurer gives their order, and so do accounts, sessions and the queue.

-- Ranges of types of our own are known to no worker: the same is said by two hashes.
ALTER TABLE product_versions DROP CONSTRAINT product_versions_in_force_one_at_a_time;
ALTER TABLE conventions DROP CONSTRAINT conventions_in_force_one_at_a_time;
-- Foreign keys among what is spread come back below; one from every node to the coordinator's own cannot be.
ALTER TABLE rights_rejects DROP CONSTRAINT rights_rejects_insurer_id_import_id_fkey;
ALTER TABLE prior_approval_lines DROP CONSTRAINT prior_approval_lines_insurer_id_approval_id_fkey;
ALTER TABLE prior_approval_events DROP CONSTRAINT prior_approval_events_insurer_id_approval_id_fkey;
ALTER TABLE prior_approval_attachments DROP CONSTRAINT prior_approval_attachments_insurer_id_approval_id_fkey;
ALTER TABLE convention_signatures DROP CONSTRAINT convention_signatures_member_id_fkey;
-- From the coordinator's own to what is on every node: with such a key they, and all that is bound to them, would be Citus' to
-- plan, which takes few of their statements.
ALTER TABLE insurer_clients DROP CONSTRAINT insurer_clients_insurer_id_fkey;
ALTER TABLE insurer_endpoints DROP CONSTRAINT insurer_endpoints_insurer_id_fkey;
ALTER TABLE insurer_event_counters DROP CONSTRAINT insurer_event_counters_insurer_id_fkey;
ALTER TABLE insurer_events DROP CONSTRAINT insurer_events_insurer_id_fkey;
ALTER TABLE insurer_feed_cursors DROP CONSTRAINT insurer_feed_cursors_insurer_id_fkey;
ALTER TABLE practitioner_members DROP CONSTRAINT practitioner_members_practitioner_id_fkey;
ALTER TABLE practitioner_members DROP CONSTRAINT practitioner_members_insurer_id_fkey;
ALTER TABLE practitioner_reviews DROP CONSTRAINT practitioner_reviews_practitioner_id_fkey;
ALTER TABLE practitioner_identifiers DROP CONSTRAINT practitioner_identifiers_practitioner_id_fkey;
ALTER TABLE practitioner_clients DROP CONSTRAINT practitioner_clients_practitioner_id_fkey;
ALTER TABLE links DROP CONSTRAINT practitioner_links_practitioner_id_fkey;
ALTER TABLE links DROP CONSTRAINT links_insurer_id_fkey;
ALTER TABLE bank_details DROP CONSTRAINT bank_details_practitioner_id_fkey;
ALTER TABLE dre_readers DROP CONSTRAINT dre_readers_practitioner_id_fkey;
ALTER TABLE dre_subscriptions DROP CONSTRAINT dre_subscriptions_practitioner_id_fkey;

SELECT create_reference_table(each::regclass) FROM unnest(ARRAY[
    'insurers', 'practitioners', 'product_versions', 'benefit_lines', 'conventions', 'convention_participants',
    'convention_signatures', 'check_locks', 'insurer_live_sources'
]) AS each;
SELECT create_distributed_table('rights_imports', 'insurer_id');
SELECT create_distributed_table(each::regclass, 'insurer_id', colocate_with => 'rights_imports') FROM unnest(ARRAY[
    'rights_rejects', 'insured_rights', 'insured_nirs', 'card_checks', 'card_check_traces', 'prior_approvals',
    'prior_approval_lines', 'prior_approval_events', 'prior_approval_attachments', 'prior_approval_attachment_pieces',
    'benefit_uses', 'archived_approvals'
]) AS each;

ALTER TABLE rights_rejects ADD CONSTRAINT rights_rejects_insurer_id_import_id_fkey
    FOREIGN KEY (insurer_id, import_id) REFERENCES rights_imports (insurer_id, id);
ALTER TABLE prior_approval_lines ADD CONSTRAINT prior_approval_lines_insurer_id_approval_id_fkey
    FOREIGN KEY (insurer_id, approval_id) REFERENCES prior_approvals (insurer_id, id);
ALTER TABLE prior_approval_events ADD CONSTRAINT prior_approval_events_insurer_id_approval_id_fkey
    FOREIGN KEY (insurer_id, approval_id) REFERENCES prior_approvals (insurer_id, id);
ALTER TABLE prior_approval_attachments ADD CONSTRAINT prior_approval_attachments_insurer_id_approval_id_fkey
    FOREIGN KEY (insurer_id, approval_id) REFERENCES prior_approvals (insurer_id, id);
ALTER TABLE product_versions ADD CONSTRAINT product_versions_in_force_one_at_a_time EXCLUDE USING gist (
    int8range(hashtextextended(insurer_id::text || ' ' || code, 0) >> 1, hashtextextended(insurer_id::text || ' ' || code, 0) >> 1, '[]') WITH &&,
    int8range(hashtextextended(insurer_id::text || ' ' || code, 1) >> 1, hashtextextended(insurer_id::text || ' ' || code, 1) >> 1, '[]') WITH &&,
    validity WITH &&
) WHERE (superseded_at IS NULL);
ALTER TABLE conventions ADD CONSTRAINT conventions_in_force_one_at_a_time EXCLUDE USING gist (
    int8range(hashtextextended(specialty, 0) >> 1, hashtextextended(specialty, 0) >> 1, '[]') WITH &&,
    int8range(hashtextextended(specialty, 1) >> 1, hashtextextended(specialty, 1) >> 1, '[]') WITH &&,
    validity WITH &&
);
