-- Accounting: octets to and from each customer since midnight, every five minutes, with the percent of the daily quota
-- that is used: the day's last row is the day's account, the ones before are early answers. Customers are told by
-- prefix (table customers); traffic between two of them is on both accounts. Threshold: quota in octets, null without
-- one. UTC days.
-- Source: IPDR-like accounting of access networks; Flowmon's quota reports.
CREATE MATERIALIZED VIEW accounting AS
SELECT window_start, customer, octets, used, 100.0 * used / nullif(quota, 0) AS percent
FROM (SELECT window_start, customer, quota, octets,
             sum(octets) OVER (PARTITION BY customer, quota, date_trunc('day', window_start) ORDER BY window_start) AS used
      FROM (SELECT window_start, customer, quota, sum(octets) AS octets
            FROM tumble((SELECT f.time, c.customer, c.quota, f.octets
                         FROM flows f LEFT JOIN lpm(customers, f.src_ip) c ON true
                         WHERE c.customer IS NOT NULL
                         UNION ALL
                         SELECT f.time, c.customer, c.quota, f.octets
                         FROM flows f LEFT JOIN lpm(customers, f.dst_ip) c ON true
                         WHERE c.customer IS NOT NULL), time, interval '300 s')
            GROUP BY window_start, customer, quota) samples) days;
