-- Spam and worm sources: hosts of our customers that reach more than 20 others on the port of mail (25) or of file
-- sharing (445) in a minute. A desktop talks to one mail server; a bot to many. Mail servers are left out by address.
-- Threshold: 20 destinations.
-- Source: flow-dscan; BSI and abuse desks' lists of infected customers.
CREATE MATERIALIZED VIEW spam_sources AS
SELECT window_start, c.customer, f.src_ip, f.dst_port, count(DISTINCT f.dst_ip) AS destinations, count(*) AS flows
FROM tumble(flows, time, interval '60 s') f
     LEFT JOIN lpm(customers, f.src_ip) c ON true
WHERE f.protocol = 6 AND f.dst_port IN (25, 445) AND c.customer IS NOT NULL
GROUP BY window_start, c.customer, f.src_ip, f.dst_port
HAVING count(DISTINCT f.dst_ip) > 20;
