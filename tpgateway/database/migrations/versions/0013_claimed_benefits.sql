-- The next functions are for statements outside of a transaction: they say themselves whose rows are seen, as BEGIN does for
-- others, and the rest of their statement sees no other practitioner's either.

-- What a request of a practitioner is decided with, nothing locked.
CREATE FUNCTION look_up_own_proof(of_practitioner uuid, insurer_number text, given text)
    RETURNS TABLE (insurer insurers, checked card_checks, uses json, next_id uuid) LANGUAGE plpgsql AS $$
BEGIN
    PERFORM set_config('tpgateway.practitioner', of_practitioner::text, true);
    RETURN QUERY SELECT * FROM look_up_proof(insurer_number, given, false);
END $$;

-- Once nobody else decides on somebody's benefits: whether what was used of them is what ``seen`` is the MD5 of, as
-- ``look_up_proof`` told it. Otherwise the statement fails, as one that could not be serialized.
CREATE FUNCTION claim_benefits(
    of_practitioner uuid, of_insurer uuid, number text, born text, rank smallint, seen text
) RETURNS boolean LANGUAGE plpgsql AS $$
DECLARE
    used text;
BEGIN
    PERFORM set_config('tpgateway.practitioner', of_practitioner::text, true);
    PERFORM lock_benefits(of_insurer, number, born, rank);
    SELECT md5(json_agg(u ORDER BY u.used_on, u.approval_id, u.line)::text) INTO used FROM benefit_uses u
    WHERE u.insurer_id = of_insurer AND u.membership_number = number AND u.birth_date = born AND u.birth_rank = rank;
    IF used IS DISTINCT FROM seen THEN
        RAISE serialization_failure USING MESSAGE = 'somebody else has used these benefits meanwhile';
    END IF;
    RETURN true;
END $$;
