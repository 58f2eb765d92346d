-- Billing: the 95th percentile of each customer's five-minute rates over a calendar month, for each direction and the
-- greater of the two. Samples are octets over the customer's interfaces (table interfaces) in exactly 300 s, aligned to
-- the hour: other sizes change small bills by 4 to 42 percent. The rule is nearest rank, as the industry has it:
-- samples are sorted, the top 5 percent thrown away (446 of a month of 31 days, 37 hours), and the next is billed; no
-- interpolation. A sample without traffic counts as 0, so a customer with traffic in less than 5 percent of the month
-- pays nothing. UTC months; set timezone to the contract's.
-- Source: Dimitropoulos et al., "On the 95-percentile billing method" (PAM 2009); drpeering.net.
CREATE MATERIALIZED VIEW customer_samples AS
SELECT window_start, customer, sum(octets_from) AS octets_from, sum(octets_to) AS octets_to
FROM tumble((SELECT f.time, i.customer, f.octets AS octets_from, 0 AS octets_to
             FROM flows f JOIN interfaces i ON i.exporter = f.exporter AND i.if_index = f.in_if
             WHERE i.customer IS NOT NULL
             UNION ALL
             SELECT f.time, i.customer, 0, f.octets
             FROM flows f JOIN interfaces i ON i.exporter = f.exporter AND i.if_index = f.out_if
             WHERE i.customer IS NOT NULL), time, interval '300 s')
GROUP BY window_start, customer;

CREATE MATERIALIZED VIEW billing AS
SELECT window_start, customer, samples, from_bits_per_second, to_bits_per_second,
       greatest(from_bits_per_second, to_bits_per_second) AS billed_bits_per_second
FROM (SELECT window_start, customer, count(*) AS samples,
             coalesce(max(octets_from) FILTER (WHERE place_from = billed), 0) * 8 / 300 AS from_bits_per_second,
             coalesce(max(octets_to) FILTER (WHERE place_to = billed), 0) * 8 / 300 AS to_bits_per_second
      FROM (SELECT window_start, customer, octets_from, octets_to,
                   row_number() OVER (PARTITION BY window_start, customer ORDER BY octets_from DESC) AS place_from,
                   row_number() OVER (PARTITION BY window_start, customer ORDER BY octets_to DESC) AS place_to,
                   in_month - (95 * in_month + 99) / 100 + 1 AS billed  -- of the places from the top
            FROM (SELECT window_start, customer, sample, sum(octets_from) AS octets_from, sum(octets_to) AS octets_to,
                         extract(epoch FROM window_end - window_start)::bigint / 300 AS in_month
                  FROM tumble((SELECT window_start AS sample, customer, octets_from, octets_to FROM customer_samples),
                              sample, interval '1 month', timezone => 'UTC')
                  GROUP BY window_start, window_end, customer, sample) months) places
      GROUP BY window_start, customer) rates;
