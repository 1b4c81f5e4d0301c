-- Sample polls without votes, three with one answer and one for each other way to vote, published one to six days ago.
-- Those whose question exists already are skipped.

WITH sample (number, question_text, age, choices) AS (
    VALUES
        (
            1,
            'Which framework do you reach for first when a customer asks for a small web application?',
            interval '3 days',
            ARRAY['aiohttp', 'Django', 'Flask', 'FastAPI', 'Something else']
        ),
        (
            2,
            'Where should the next meet-up take place?',
            interval '2 days',
            ARRAY['In the park', 'At the library', 'In a café', 'Online']
        ),
        (
            3,
            'What''s new?',
            interval '1 day',
            ARRAY['Not much', 'The sky', 'Just hacking again']
        ),
        (
            4,
            'On which evenings could you come?',
            interval '4 days',
            ARRAY['Tuesday', 'Wednesday', 'Thursday', 'Friday']
        ),
        (
            5,
            'How did you like the talks?',
            interval '5 days',
            ARRAY['Async without tears', 'Testing with real databases', 'Pages without JavaScript']
        ),
        (
            6,
            'What should we spend the budget on?',
            interval '6 days',
            ARRAY['Food and drinks', 'A bigger room', 'Travel for speakers', 'Recordings']
        )
),
sample_settings (question_text, method, most_marks, most_points, budget, lowest_label, highest_label) AS (
    VALUES
        ('On which evenings could you come?', 'multiple', NULL::integer, NULL::integer, NULL::integer, '', ''),
        ('How did you like the talks?', 'score', NULL, 5, NULL, 'not at all', 'very much'),
        ('What should we spend the budget on?', 'dots', NULL, 10, 10, '', '')
),
added AS (
    INSERT INTO question (question_text, pub_date)
    SELECT question_text, now() - age
    FROM sample
    WHERE NOT EXISTS (SELECT FROM question WHERE question.question_text = sample.question_text)
    ORDER BY number
    RETURNING id, question_text
),
added_settings AS (
    INSERT INTO poll_settings (question_id, method, most_marks, most_points, budget, lowest_label, highest_label)
    SELECT id, method, most_marks, most_points, budget, lowest_label, highest_label
    FROM added
    JOIN sample_settings USING (question_text)
)
INSERT INTO choice (question_id, choice_text, position)
SELECT added.id, offered.choice_text, offered.position
FROM added
JOIN sample USING (question_text)
CROSS JOIN LATERAL unnest(sample.choices) WITH ORDINALITY AS offered (choice_text, position)
ORDER BY added.id, offered.position;
