SELECT src_as, count(*) FROM flows GROUP BY src_as EMIT CHANGES
