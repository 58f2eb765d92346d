-- DDoS victim: destinations that more than 200 sources send to in a minute. Popular servers are there every day:
-- compare with yesterday, or leave them out by address. Spoofed sources show as sources / flows near 1. Distinct
-- sources are exact up to 384 and 1.6 % off beyond. Set the threshold as for superspreader.sql.
-- Source: Sonata (SIGCOMM 2018), query 5.
CREATE MATERIALIZED VIEW ddos_victim AS
SELECT window_start, dst_ip, approx_count_distinct(src_ip) AS sources, sum(octets) AS octets, sum(packets) AS packets,
       count(*) AS flows
FROM tumble(flows, time, interval '60 s')
GROUP BY window_start, dst_ip
HAVING approx_count_distinct(src_ip) > 200;
