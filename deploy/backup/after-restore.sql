-- After the database went back to an earlier moment, before the service starts: as the schema's owner, by psql.

-- Insurers may have read events that are not there any more. Numbers that they know must not be given to other events, or they
-- would never read those: numbers go on from beyond all that were ever given. For insurers it is one gap; until their next event
-- comes, X-Pending-Events may count it.
UPDATE insurer_event_counters SET last = last + 1000000;
