-- What a request on a proof is decided with: its insurer; where the insurer knows the proof, its check, and what the check's
-- person has used of the benefits; and an id for what comes of it. No row where the insurer is unknown.
--
-- With ``locks``, once nobody else decides on that person's benefits: a statement sees what was so when it began, and the one
-- that reads what was used begins when the lock is had.
CREATE FUNCTION look_up_proof(insurer_number text, given text, locks boolean)
    RETURNS TABLE (insurer insurers, checked card_checks, uses json, next_id uuid) LANGUAGE plpgsql AS $$
BEGIN
    SELECT i.* INTO insurer FROM insurers i WHERE i.number = insurer_number;
    IF NOT FOUND THEN
        RETURN;
    END IF;
    SELECT k.* INTO checked FROM card_checks k WHERE k.insurer_id = insurer.id AND k.proof = given;
    IF FOUND THEN
        IF locks THEN
            PERFORM lock_benefits(insurer.id, checked.membership_number, checked.birth_date, checked.birth_rank);
        END IF;
        SELECT json_agg(u ORDER BY u.used_on, u.approval_id, u.line) INTO uses FROM benefit_uses u
        WHERE u.insurer_id = insurer.id AND u.membership_number = checked.membership_number
          AND u.birth_date = checked.birth_date AND u.birth_rank = checked.birth_rank;
    END IF;
    next_id := uuidv7();
    RETURN NEXT;
END $$;
