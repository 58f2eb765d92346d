-- Top conversations: the twenty pairs of hosts that sent most, every minute, and one row for all others (addresses
-- null), so that the rows add up to the whole. The 20 stands twice: how many pairs have rows of their own.
-- Source: xenoeye's top-N with a rest row.
CREATE MATERIALIZED VIEW top_conversations AS
SELECT window_start, CASE WHEN place <= 20 THEN src_ip END AS src_ip, CASE WHEN place <= 20 THEN dst_ip END AS dst_ip,
       sum(octets) AS octets, sum(flows) AS flows, count(*) AS pairs
FROM (SELECT window_start, src_ip, dst_ip, sum(octets) AS octets, count(*) AS flows,
             row_number() OVER (PARTITION BY window_start ORDER BY sum(octets) DESC) AS place
      FROM tumble(flows, time, interval '60 s')
      GROUP BY window_start, src_ip, dst_ip) pairs
GROUP BY 1, 2, 3;
