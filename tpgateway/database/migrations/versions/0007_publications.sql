-- Conventions ---------------------------------------------------------------------------------------------------------

ALTER TABLE conventions
    -- Where the practitioner asks first, whatever the product says.
    ADD COLUMN approval_domains text[] NOT NULL DEFAULT '{}',
    -- Lists of objects as the terms file has them: they are read whole, and never looked into here.
    ADD COLUMN documents jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(documents) = 'array'),
    ADD COLUMN tariffs jsonb NOT NULL DEFAULT '[]' CHECK (jsonb_typeof(tariffs) = 'array'),
    ADD CONSTRAINT conventions_ask_approval_in_their_domains CHECK (approval_domains <@ domains);

-- Who of the practice signed; unknown of signatures given before. Who left and signs again later does so anew: the former
-- signature stays, and the new one counts for care from its own day on only.
ALTER TABLE convention_signatures
    ADD COLUMN member_id uuid REFERENCES practitioner_members,
    ADD COLUMN counts_from date,
    DROP CONSTRAINT convention_signatures_pkey,
    ADD PRIMARY KEY (practitioner_id, convention_id, signed_at);
CREATE UNIQUE INDEX convention_signatures_once_at_a_time ON convention_signatures (practitioner_id, convention_id)
    WHERE left_on IS NULL;

-- DRE tables ----------------------------------------------------------------------------------------------------------

ALTER TABLE dre_versions
    ADD COLUMN id uuid NOT NULL DEFAULT uuidv7() UNIQUE,
    ADD COLUMN note text CHECK (length(note) <= 1000),
    ADD COLUMN restores integer REFERENCES dre_versions;

-- Public keys that files were ever signed with: old versions stay to be verified.
CREATE TABLE dre_keys (
    kid           text PRIMARY KEY,
    jwk           jsonb NOT NULL,
    first_used_at timestamptz NOT NULL
);
CREATE TRIGGER dre_keys_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON dre_keys
    FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

ALTER TABLE dre_files
    DROP CONSTRAINT dre_files_format_check,
    ADD CONSTRAINT dre_files_format_check CHECK (format IN ('json', 'csv', 'xml', 'html', 'pdf')),
    -- Absent where compressing gains nothing, and in versions published before there was any.
    ADD COLUMN gzip bytea,
    ADD COLUMN zstd bytea,
    -- Detached JWS over the content; absent in versions published before files were signed.
    ADD COLUMN signature text,
    ALTER COLUMN content SET STORAGE EXTERNAL,
    ALTER COLUMN gzip SET STORAGE EXTERNAL,
    ALTER COLUMN zstd SET STORAGE EXTERNAL;

-- Which version a practitioner's software has: the newest that it fetched.
CREATE TABLE dre_readers (
    practitioner_id uuid PRIMARY KEY REFERENCES practitioners,
    version         integer NOT NULL REFERENCES dre_versions,
    read_at         timestamptz NOT NULL
);
CREATE INDEX dre_readers_by_version ON dre_readers (version);

-- Who is mailed of new versions, and which one was told last.
CREATE TABLE dre_subscriptions (
    practitioner_id uuid PRIMARY KEY REFERENCES practitioners,
    told            integer NOT NULL
);
CREATE INDEX dre_subscriptions_by_told ON dre_subscriptions (told);

-- Approvals -----------------------------------------------------------------------------------------------------------

-- Days that were granted are used, also where their part of a small sum is less than a cent.
ALTER TABLE benefit_uses
    DROP CONSTRAINT benefit_uses_granted_cents_check,
    ADD CONSTRAINT benefit_uses_granted_cents_check CHECK (granted_cents >= 0);

-- Named here too, since default privileges are those of whoever set them.
GRANT SELECT ON dre_keys TO tpgateway_service;
-- Who serves never publishes.
REVOKE INSERT, UPDATE, DELETE ON dre_versions, dre_files, dre_keys FROM tpgateway_service;
GRANT SELECT, INSERT, UPDATE, DELETE ON dre_readers, dre_subscriptions TO tpgateway_service;
