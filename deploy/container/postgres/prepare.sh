#!/bin/sh
# Run once by the database's image, on an empty volume. The login of serve and work may do nothing but act under the service's
# role (docs/operating.md, Database role). Nothing is archived until a command that does stands in place of /bin/true, and a
# base backup was taken after that: deploy/backup/README.md.
set -eu
psql --set ON_ERROR_STOP=1 --set password="$(cat /run/secrets/service_password)" --username "$POSTGRES_USER" --dbname "$POSTGRES_DB" <<'SQL'
CREATE ROLE tpgateway_service NOLOGIN;
CREATE ROLE tpgateway_checks NOLOGIN;
GRANT tpgateway_checks TO tpgateway_service WITH INHERIT FALSE;
CREATE ROLE tpgateway LOGIN PASSWORD :'password';
GRANT tpgateway_service TO tpgateway;
ALTER SYSTEM SET archive_command = '/bin/true';
SQL
