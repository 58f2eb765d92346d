-- Amplification: destinations that get large UDP answers from services that reflect (DNS, NTP, LDAP, SSDP, memcached
-- and others), every minute. Thresholds: packets of more than 200 octets; more than 50 MB a minute (7 Mbit/s: set it to
-- 1 % of the customer's link); at least 10 reflectors, which keeps out one big download.
-- Source: Rossow's list of amplifiers (NDSS 2014) with memcached; Flowmon ADS.
CREATE MATERIALIZED VIEW amplification AS
SELECT window_start, dst_ip, src_port, sum(octets) AS octets, count(DISTINCT src_ip) AS reflectors,
       sum(octets) / sum(packets) AS octets_per_packet
FROM tumble(flows, time, interval '60 s')
WHERE protocol = 17 AND src_port IN (17, 19, 53, 69, 111, 123, 137, 161, 389, 520, 1900, 3702, 5353, 11211, 27015)
  AND octets_raw > 200 * packets_raw
GROUP BY window_start, dst_ip, src_port
HAVING sum(octets) > 50000000 AND count(DISTINCT src_ip) >= 10;
