-- Guarantees ----------------------------------------------------------------------------------------------------------

-- National amounts and periods, each in force from a day until the next of its code: data that an operator changes.
CREATE TABLE tariffs (
    code        text NOT NULL CHECK (code ~ '^[a-z0-9_]{2,60}$'),
    valid_from  date NOT NULL,
    value       bigint NOT NULL CHECK (value >= 0),
    unit        text NOT NULL CHECK (unit IN ('cents', 'months', 'days')),
    source      text NOT NULL CHECK (length(source) BETWEEN 3 AND 300),
    recorded_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (code, valid_from)
);

INSERT INTO tariffs (code, valid_from, value, unit, source) VALUES
    ('hospital_daily_fee', '2018-01-01', 2000, 'cents', 'Forfait journalier hospitalier, CSS L174-4'),
    ('hospital_daily_fee', '2026-03-01', 2300, 'cents', 'Forfait journalier hospitalier, CSS L174-4'),
    ('hospital_daily_fee_psychiatry', '2018-01-01', 1500, 'cents', 'Forfait journalier en psychiatrie, usage de la profession'),
    ('hospital_daily_fee_psychiatry', '2026-03-01', 1700, 'cents', 'Forfait journalier en psychiatrie'),
    ('emergency_fee', '2022-01-01', 1961, 'cents', 'Forfait patient urgences'),
    ('emergency_fee', '2026-03-01', 2300, 'cents', 'Forfait patient urgences'),
    ('high_cost_act_fee', '2019-01-01', 2400, 'cents', 'Participation assuré sur les actes lourds (PAS)'),
    ('high_cost_act_fee', '2026-04-22', 3200, 'cents', 'Participation assuré sur les actes lourds (PAS)'),
    ('high_cost_act_threshold', '2019-01-01', 12000, 'cents', 'Tarif à partir duquel un acte est lourd'),
    ('optical_floor_a', '2020-01-01', 5000, 'cents', 'Contrat responsable, CSS R871-2'),
    ('optical_floor_b', '2020-01-01', 12500, 'cents', 'Contrat responsable, CSS R871-2'),
    ('optical_floor_c', '2020-01-01', 20000, 'cents', 'Contrat responsable, CSS R871-2'),
    ('optical_floor_d', '2020-01-01', 12500, 'cents', 'Contrat responsable, CSS R871-2'),
    ('optical_floor_e', '2020-01-01', 20000, 'cents', 'Contrat responsable, CSS R871-2'),
    ('optical_floor_f', '2020-01-01', 20000, 'cents', 'Contrat responsable, CSS R871-2'),
    ('optical_ceiling_a', '2020-01-01', 42000, 'cents', 'Contrat responsable, CSS R871-2'),
    ('optical_ceiling_b', '2020-01-01', 56000, 'cents', 'Contrat responsable, CSS R871-2'),
    ('optical_ceiling_c', '2020-01-01', 70000, 'cents', 'Contrat responsable, CSS R871-2'),
    ('optical_ceiling_d', '2020-01-01', 61000, 'cents', 'Contrat responsable, CSS R871-2'),
    ('optical_ceiling_e', '2020-01-01', 75000, 'cents', 'Contrat responsable, CSS R871-2'),
    ('optical_ceiling_f', '2020-01-01', 80000, 'cents', 'Contrat responsable, CSS R871-2'),
    ('optical_frame_ceiling', '2020-01-01', 10000, 'cents', 'Contrat responsable, CSS R871-2'),
    ('optical_class_a_frame_limit', '2020-01-01', 3000, 'cents', '100 % Santé'),
    ('optical_class_a_lens_simple_limit', '2020-01-01', 17000, 'cents', '100 % Santé, prix limite usuel, à préciser par le réseau'),
    ('optical_class_a_lens_complex_limit', '2020-01-01', 17000, 'cents', '100 % Santé, prix limite usuel, à préciser par le réseau'),
    ('optical_class_a_lens_very_complex_limit', '2020-01-01', 17000, 'cents', '100 % Santé, prix limite usuel, à préciser par le réseau'),
    ('optical_class_a_supplement_limit', '2020-01-01', 5000, 'cents', '100 % Santé, prix limite usuel, à préciser par le réseau'),
    ('optical_renewal_months', '2020-01-01', 24, 'months', 'Contrat responsable, CSS R871-2'),
    ('optical_renewal_months_under_16', '2020-01-01', 12, 'months', 'Contrat responsable, CSS R871-2'),
    ('optical_renewal_months_under_6', '2020-01-01', 6, 'months', 'Contrat responsable, CSS R871-2'),
    ('optical_renewal_months_sight_change', '2020-01-01', 12, 'months', 'Évolution de la vue, usage de la profession'),
    ('optical_renewal_months_sight_change_under_16', '2020-01-01', 0, 'months', 'Évolution de la vue, usage de la profession'),
    ('optical_prescription_months', '2020-01-01', 60, 'months', 'Durée de l''ordonnance de 16 à 42 ans, usage de la profession'),
    ('optical_prescription_months_under_16', '2020-01-01', 12, 'months', 'Durée de l''ordonnance avant 16 ans, usage de la profession'),
    ('optical_prescription_months_from_43', '2020-01-01', 36, 'months', 'Durée de l''ordonnance après 42 ans, usage de la profession'),
    ('approval_validity_days', '2020-01-01', 180, 'days', 'Durée de validité d''une prise en charge, règle du réseau'),
    ('billing_tolerance_days', '2020-01-01', 30, 'days', 'Délai de facturation après la validité, règle du réseau');

ALTER TABLE benefit_lines
    DROP CONSTRAINT benefit_lines_kind_check,
    DROP CONSTRAINT benefit_lines_say_what_their_kind_needs,
    ADD CONSTRAINT benefit_lines_kind_check
        CHECK (kind IN ('percentage', 'copayment', 'remainder', 'flat', 'share', 'daily_share')),
    ADD CONSTRAINT benefit_lines_say_what_their_kind_needs CHECK (
        (rate_basis_points IS NOT NULL) = (kind IN ('percentage', 'share'))
        AND (amount_cents IS NOT NULL) = (kind IN ('flat', 'daily_share'))),
    ADD COLUMN waiting_days smallint NOT NULL DEFAULT 0 CHECK (waiting_days BETWEEN 0 AND 365),
    ADD COLUMN days_covered smallint CHECK (days_covered BETWEEN 1 AND 366),
    ADD COLUMN renewal_months smallint CHECK (renewal_months BETWEEN 1 AND 120);

-- Insurers ------------------------------------------------------------------------------------------------------------

ALTER TABLE insurers ADD COLUMN approval_rules jsonb NOT NULL DEFAULT '{}';

-- Prior approvals -----------------------------------------------------------------------------------------------------

ALTER TABLE prior_approvals
    -- They are in the request from now on; a later revision drops them.
    ALTER COLUMN prescription_date DROP NOT NULL,
    ALTER COLUMN prescriber_rpps DROP NOT NULL,
    ADD COLUMN revision smallint NOT NULL DEFAULT 1 CHECK (revision >= 1),
    ADD COLUMN request jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN code text NOT NULL DEFAULT '',
    ADD COLUMN comment text CHECK (length(comment) <= 2000),
    ADD COLUMN documents text[] NOT NULL DEFAULT '{}',
    ADD COLUMN standing jsonb,
    ADD COLUMN billable_until date,
    ADD COLUMN waits_for text CHECK (waits_for IN ('practitioner', 'insurer')),
    ADD COLUMN due_at timestamptz;
UPDATE prior_approvals a SET
    code = (SELECT e.reason_code FROM prior_approval_events e
            WHERE e.insurer_id = a.insurer_id AND e.approval_id = a.id ORDER BY e.version DESC LIMIT 1),
    request = jsonb_build_object('prescription_date', prescription_date, 'prescriber_rpps', prescriber_rpps,
                                 'renewal_reason', NULL),
    billable_until = valid_until + 30,
    due_at = CASE WHEN state IN ('approved', 'partially_approved')
                  THEN (valid_until + 31)::timestamp AT TIME ZONE 'Europe/Paris' END;
CREATE INDEX prior_approvals_due ON prior_approvals (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX prior_approvals_by_person ON prior_approvals (insurer_id, membership_number, id);
CREATE INDEX prior_approvals_by_state ON prior_approvals (insurer_id, state, id);
CREATE INDEX prior_approvals_waiting ON prior_approvals (insurer_id, waits_for, id) WHERE waits_for IS NOT NULL;
CREATE INDEX prior_approvals_by_care ON prior_approvals (insurer_id, care_date, id);

ALTER TABLE prior_approval_lines
    ADD COLUMN revision smallint NOT NULL DEFAULT 1 CHECK (revision >= 1),
    ADD COLUMN units smallint NOT NULL DEFAULT 1 CHECK (units BETWEEN 1 AND 366),
    ADD COLUMN available_from date,
    ADD COLUMN not_due_cents bigint NOT NULL DEFAULT 0 CHECK (not_due_cents >= 0),
    -- What is granted by calendar year: first day, units, cents.
    ADD COLUMN parts jsonb NOT NULL DEFAULT '[]',
    DROP CONSTRAINT prior_approval_lines_add_up,
    ADD CONSTRAINT prior_approval_lines_add_up
        CHECK (granted_cents + amo_cents + patient_cents + not_due_cents = price_cents),
    ADD COLUMN correction text,
    ADD COLUMN price_class text,
    ADD COLUMN lpp text,
    ADD COLUMN is_optam boolean NOT NULL DEFAULT true,
    DROP CONSTRAINT prior_approval_lines_pkey,
    ADD PRIMARY KEY (insurer_id, approval_id, revision, line);
UPDATE prior_approval_lines l SET
    price_class = right(benefit, 1), correction = substring(benefit FROM '^lens_(.*)_[ab]$'),
    parts = CASE WHEN granted_cents > 0 THEN jsonb_build_array(jsonb_build_array(a.care_date, 1, granted_cents))
                 ELSE '[]' END
FROM prior_approvals a WHERE a.insurer_id = l.insurer_id AND a.id = l.approval_id;

ALTER TABLE prior_approval_events ADD COLUMN details jsonb NOT NULL DEFAULT '{}';

-- What somebody used of the benefits: rows of an approval come and go with what is granted.
CREATE TABLE benefit_uses (
    insurer_id        uuid NOT NULL,
    membership_number text NOT NULL,
    birth_date        text NOT NULL,
    birth_rank        smallint NOT NULL,
    approval_id       uuid NOT NULL,
    line              smallint NOT NULL,
    used_on           date NOT NULL,
    item              text NOT NULL,
    benefit           text NOT NULL,
    units             smallint NOT NULL CHECK (units >= 0),
    granted_cents     bigint NOT NULL CHECK (granted_cents > 0),
    PRIMARY KEY (insurer_id, membership_number, birth_date, birth_rank, approval_id, line, used_on),
    FOREIGN KEY (insurer_id, approval_id) REFERENCES prior_approvals (insurer_id, id)
);
CREATE INDEX benefit_uses_by_approval ON benefit_uses (insurer_id, approval_id);
-- What was agreed before counts as used too.
INSERT INTO benefit_uses
SELECT a.insurer_id, a.membership_number, a.birth_date, a.birth_rank, a.id, l.line, a.care_date, l.item, l.benefit, 1,
       l.granted_cents
FROM prior_approvals a JOIN prior_approval_lines l ON l.insurer_id = a.insurer_id AND l.approval_id = a.id
WHERE a.state IN ('approved', 'partially_approved') AND l.granted_cents > 0;

-- Documents given with an approval: sealed, in pieces, so that none is ever whole in memory.
CREATE TABLE prior_approval_attachments (
    insurer_id  uuid NOT NULL,
    approval_id uuid NOT NULL,
    id          uuid NOT NULL DEFAULT uuidv7(),
    kind        text NOT NULL CHECK (kind IN ('prescription', 'quote')),
    media_type  text NOT NULL CHECK (media_type IN ('application/pdf', 'image/png', 'image/jpeg')),
    size        integer NOT NULL CHECK (size BETWEEN 1 AND 10485760),
    sha256      bytea NOT NULL CHECK (length(sha256) = 32),
    added_at    timestamptz NOT NULL,
    PRIMARY KEY (insurer_id, approval_id, id),
    FOREIGN KEY (insurer_id, approval_id) REFERENCES prior_approvals (insurer_id, id)
);
CREATE TABLE prior_approval_attachment_pieces (
    insurer_id    uuid NOT NULL,
    attachment_id uuid NOT NULL,
    piece         smallint NOT NULL,
    sealed        bytea NOT NULL,
    PRIMARY KEY (insurer_id, attachment_id, piece)
);

GRANT SELECT, INSERT, UPDATE, DELETE
    ON tariffs, benefit_uses, prior_approval_attachments, prior_approval_attachment_pieces TO tpgateway_service;
