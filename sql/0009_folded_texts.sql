-- Searching and sorting are the same on each server, whatever locale the database was made with: without regard to case
-- and accents. PostgreSQL's own functions (lower, to_tsvector, the order of text) depend on the locale of the database.

-- The question's text as the list is sorted by it. Not in `question`, whose row each vote writes anew.
ALTER TABLE question_words ADD COLUMN folded text COLLATE "C" NOT NULL DEFAULT '';
CREATE INDEX question_words_folded_idx ON question_words (folded, question_id);

-- A text in lower case without accents. normalize() separates accents from letters, and brings letters of other forms to
-- the usual one. Case is mapped for the scripts that have it: Latin, Greek, Cyrillic and Armenian.
CREATE FUNCTION folded(sentence text) RETURNS text LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE AS $$
    SELECT CASE
        WHEN octet_length(sentence) = length(sentence) THEN lower(sentence COLLATE "C")
        ELSE (
            SELECT replace(replace(replace(replace(lowered.letters, 'ß', 'ss'), 'æ', 'ae'), 'œ', 'oe'), 'þ', 'th')
            FROM normalize(sentence, NFKD) AS separated (letters)
            CROSS JOIN regexp_replace(
                separated.letters,
                '[\u0300-\u036F\u0591-\u05BD\u05BF\u05C1\u05C2\u05C4\u05C5\u05C7\u064B-\u065F\u0670'
                '\u1AB0-\u1AFF\u1DC0-\u1DFF\u20D0-\u20FF]',
                '',
                'g'
            ) AS plain (letters)
            CROSS JOIN lower(normalize(plain.letters, NFC) COLLATE "C") AS composed (letters)
            -- Comparing each character with a long list takes time, so letters that are rare have a list of their own.
            CROSS JOIN translate(
                composed.letters,
                'ÆÐØÞðøĐđĦħıŁłŊŒŦŧΑΒΓΔΕΖΗΘΙΚΛΜΝΞΟΠΡΣΤΥΦΧΨΩςЂЄЅІЈЉЊЋЏАБВГДЕЖЗИКЛМНОПРСТУФХЦЧШЩЪЫЬЭЮЯҐẞ',
                'ædoþdoddhhillŋœttαβγδεζηθικλμνξοπρστυφχψωσђєѕіјљњћџабвгдежзиклмнопрстуфхцчшщъыьэюяґß'
            ) AS usual (letters)
            CROSS JOIN LATERAL (
                SELECT CASE
                    WHEN usual.letters ~ '[\u0181-\u0256\u0370-\u037F\u03CF-\u03FF\u0400-\u0401\u0460-\u058F\u1E00-\u1EFF\u2C60-\u2C7F\uA640-\uA7FF]'
                    THEN translate(
                        usual.letters,
                        'ƁƂƄƆƇƉƊƋƎƏƐƑƓƔƖƗƘƜƝƟƢƤƦƧƩƬƮƱƲƳƵƷƸƼǤǶǷȜȠȢȤȺȻȽȾɁɃɄɅɆɈɊɌɎͰͲͶͿϏϘϚϜϞϠϷϺϽϾϿѠѢѤѦѨѪѬѮѰѲѴѸѺѼѾ'
                        'ҀҊҌҎҒҔҖҘҚҜҞҠҢҤҦҨҪҬҮҰҲҴҶҸҺҼҾӀӃӅӇӉӋӍӔӘӠӨӶӺӼӾԀԂԄԆԈԊԌԎԐԒԔԖԘԚԜԞԠԢԤԦԨԪԬԮԱԲԳԴԵԶԷԸԹԺԻԼԽԾԿՀՁՂ'
                        'ՃՄՅՆՇՈՉՊՋՌՍՎՏՐՑՒՓՔՕՖỺỼỾⱠⱢⱣⱤⱧⱩⱫⱭⱮⱯⱰⱲⱵⱾⱿꙀꙂꙄꙆꙈꙊꙌꙎꙐꙒꙔꙖꙘꙚꙜꙞꙠꙢꙤꙦꙨꙪꙬꚀꚂꚄꚆꚈꚊꚌꚎꚐꚒꚔꚖꚘꚚꜢꜤꜦꜨꜪꜬꜮꜲꜴ'
                        'ꜶꜸꜺꜼꜾꝀꝂꝄꝆꝈꝊꝌꝎꝐꝒꝔꝖꝘꝚꝜꝞꝠꝢꝤꝦꝨꝪꝬꝮꝹꝻꝽꝾꞀꞂꞄꞆꞋꞍꞐꞒꞖꞘꞚꞜꞞꞠꞢꞤꞦꞨꞪꞫꞬꞭꞮꞰꞱꞲꞳꞴꞶꞸꞺꞼꞾꟀꟂꟄꟅꟆꟇꟉꟐꟖꟘꟵ',
                        'ɓƃƅɔƈɖɗƌǝəɛƒɠɣɩɨƙɯɲɵƣƥʀƨʃƭʈʊʋƴƶʒƹƽǥƕƿȝƞȣȥⱥȼƚⱦɂƀʉʌɇɉɋɍɏͱͳͷϳϗϙϛϝϟϡϸϻͻͼͽѡѣѥѧѩѫѭѯѱѳѵѹѻѽѿ'
                        'ҁҋҍҏғҕҗҙқҝҟҡңҥҧҩҫҭүұҳҵҷҹһҽҿӏӄӆӈӊӌӎӕәӡөӷӻӽӿԁԃԅԇԉԋԍԏԑԓԕԗԙԛԝԟԡԣԥԧԩԫԭԯաբգդեզէըթժիլխծկհձղ'
                        'ճմյնշոչպջռսվտրցւփքօֆỻỽỿⱡɫᵽɽⱨⱪⱬɑɱɐɒⱳⱶȿɀꙁꙃꙅꙇꙉꙋꙍꙏꙑꙓꙕꙗꙙꙛꙝꙟꙡꙣꙥꙧꙩꙫꙭꚁꚃꚅꚇꚉꚋꚍꚏꚑꚓꚕꚗꚙꚛꜣꜥꜧꜩꜫꜭꜯꜳꜵ'
                        'ꜷꜹꜻꜽꜿꝁꝃꝅꝇꝉꝋꝍꝏꝑꝓꝕꝗꝙꝛꝝꝟꝡꝣꝥꝧꝩꝫꝭꝯꝺꝼᵹꝿꞁꞃꞅꞇꞌɥꞑꞓꞗꞙꞛꞝꞟꞡꞣꞥꞧꞩɦɜɡɬɪʞʇʝꭓꞵꞷꞹꞻꞽꞿꟁꟃꞔʂᶎꟈꟊꟑꟗꟙꟶ'
                    )
                    ELSE usual.letters
                END
            ) AS lowered (letters)
        )
    END
$$;

-- A text as words: punctuation separates, and each Chinese or Japanese character is a word, since nothing separates
-- them. A word is cut where PostgreSQL would refuse it.
CREATE OR REPLACE FUNCTION words_in(sentence text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT array_to_tsvector(ARRAY(
        SELECT left(word, 200)
        FROM string_to_table(
            regexp_replace(
                regexp_replace(
                    folded(sentence),
                    '[\u0001-\u002F\u003A-\u0040\u005B-\u0060\u007B-\u00BF\u2000-\u206F\u2190-\u21FF\u2E00-\u2E7F\u3000-\u3004\u3007-\u303F\uFE10-\uFE1F\uFE30-\uFE6F]',
                    ' ', 'g'
                ),
                '([\u2E80-\u9FFF\uF900-\uFAFF\U00020000-\U0003FFFF])', ' \1 ', 'g'
            ),
            ' '
        ) AS word
        WHERE word <> ''
    ))
$$;

CREATE OR REPLACE FUNCTION write_words(questions integer[]) RETURNS void LANGUAGE sql SET search_path FROM CURRENT AS $$
    INSERT INTO question_words (question_id, words, folded)
    SELECT
        question.id,
        words_in(concat_ws(
            ' ', question_text, (SELECT string_agg(choice_text, ' ') FROM choice WHERE question_id = question.id)
        )),
        folded(question_text)
    FROM question
    WHERE id = ANY (questions)
    ON CONFLICT (question_id) DO UPDATE SET words = excluded.words, folded = excluded.folded
    WHERE (question_words.words, question_words.folded) IS DISTINCT FROM (excluded.words, excluded.folded)
$$;
