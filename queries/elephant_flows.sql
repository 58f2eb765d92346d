-- Elephant flows: conversations of more than 100 MB a minute, and for how many minutes in a row (1 to 3, three is
-- "three or more"). One that lasts is worth a path of its own. 100,000,000 octets a minute are 13 Mbit/s: set it to 1 %
-- of the link. Routers should have an active timeout of a minute or less, or a long flow is told at its end only.
-- Source: Estan and Varghese's definition by a share of the link; persistence over consecutive windows as in xenoeye.
CREATE MATERIALIZED VIEW elephant_flows AS
SELECT window_start, src_ip, dst_ip, protocol, src_port, dst_port, octets,
       CASE WHEN before = window_start - interval '1 min' AND before2 = window_start - interval '2 min' THEN 3
            WHEN before = window_start - interval '1 min' THEN 2 ELSE 1 END AS minutes
FROM (SELECT window_start, src_ip, dst_ip, protocol, src_port, dst_port, octets,
             lag(window_start) OVER conversation AS before, lag(window_start, 2) OVER conversation AS before2
      FROM (SELECT window_start, src_ip, dst_ip, protocol, src_port, dst_port, sum(octets) AS octets
            FROM tumble(flows, time, interval '60 s')
            GROUP BY window_start, src_ip, dst_ip, protocol, src_port, dst_port
            HAVING sum(octets) > 100000000) big
      WINDOW conversation AS (PARTITION BY src_ip, dst_ip, protocol, src_port, dst_port ORDER BY window_start)) history;
