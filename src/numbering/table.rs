//! Which prefixes are whose: the country codes of E.164, and how those are split that several countries share.
//!
//! Only holds facts, and finds the longest prefix. Made from the numbering plans as libphonenumber writes them down (Apache-2.0), by
//! one rule: a prefix is a country's if no number of a larger country that shares the code begins with it. What digits cannot tell, and
//! where this table differs on purpose, stands in docs/numbers.md. `tests/numbering_oracle` compares the two.

use super::country::Country;
use super::plan::is_doubled;

/// When the table was last compared with the numbering plans (year, month, day). After two years, area codes are probably missing:
/// their numbers are nobody's.
pub const TABLE_DATE: (u16, u8, u8) = (2026, 11, 27);

/// The prefixes of each country, without `+`. A longer prefix takes its numbers from a shorter one.
#[expect(
    clippy::inconsistent_digit_grouping,
    clippy::large_digit_groups,
    reason = "grouped as numbers are: country code, and the rest"
)]
const ROWS: &[(&str, &[u32])] = &[
    // +1: every area code on its own, so that a new one is nobody's and not the United States'.
    (
        "US",
        &[
            1201, 1202, 1203, 1205, 1206, 1207, 1208, 1209, 1210, 1212, 1213, 1214, 1215, 1216, 1217, 1218, 1219, 1220, 1223,
            1224, 1225, 1227, 1228, 1229, 1231, 1234, 1235, 1239, 1240, 1248, 1251, 1252, 1253, 1254, 1256, 1260, 1262, 1267,
            1269, 1270, 1272, 1274, 1276, 1279, 1281, 1283, 1301, 1302, 1303, 1304, 1305, 1307, 1308, 1309, 1310, 1312, 1313,
            1314, 1315, 1316, 1317, 1318, 1319, 1320, 1321, 1323, 1324, 1325, 1326, 1327, 1329, 1330, 1331, 1332, 1334, 1336,
            1337, 1339, 1341, 1346, 1347, 1350, 1351, 1352, 1353, 1360, 1361, 1363, 1364, 1369, 1380, 1385, 1386, 1401, 1402,
            1404, 1405, 1406, 1407, 1408, 1409, 1410, 1412, 1413, 1414, 1415, 1417, 1419, 1423, 1424, 1425, 1430, 1432, 1434,
            1435, 1440, 1442, 1443, 1445, 1447, 1448, 1458, 1463, 1464, 1469, 1470, 1472, 1475, 1478, 1479, 1480, 1484, 1500,
            1501, 1502, 1503, 1504, 1505, 1507, 1508, 1509, 1510, 1512, 1513, 1515, 1516, 1517, 1518, 1520, 1521, 1522, 1523,
            1524, 1525, 1526, 1527, 1528, 1529, 1530, 1531, 1532, 1533, 1534, 1539, 1540, 1541, 1544, 1551, 1557, 1559, 1561,
            1562, 1563, 1564, 1566, 1567, 1570, 1571, 1572, 1573, 1574, 1575, 1577, 1580, 1582, 1585, 1586, 1588, 1601, 1602,
            1603, 1605, 1606, 1607, 1608, 1609, 1610, 1612, 1614, 1615, 1616, 1617, 1618, 1619, 1620, 1623, 1626, 1628, 1629,
            1630, 1631, 1636, 1640, 1641, 1645, 1646, 1650, 1651, 1656, 1657, 1659, 1660, 1661, 1662, 1667, 1669, 1678, 1680,
            1681, 1682, 1686, 1689, 1701, 1702, 1703, 1704, 1706, 1707, 1708, 1712, 1713, 1714, 1715, 1716, 1717, 1718, 1719,
            1720, 1724, 1725, 1726, 1727, 1728, 1730, 1731, 1732, 1734, 1737, 1738, 1740, 1743, 1747, 1748, 1754, 1757, 1760,
            1762, 1763, 1765, 1769, 1770, 1771, 1772, 1773, 1774, 1775, 1779, 1781, 1785, 1786, 1800, 1801, 1802, 1803, 1804,
            1805, 1806, 1808, 1810, 1812, 1813, 1814, 1815, 1816, 1817, 1818, 1820, 1821, 1826, 1828, 1830, 1831, 1832, 1833,
            1835, 1838, 1839, 1840, 1843, 1844, 1845, 1847, 1848, 1850, 1854, 1855, 1856, 1857, 1858, 1859, 1860, 1862, 1863,
            1864, 1865, 1866, 1870, 1872, 1877, 1878, 1888, 1900, 1901, 1903, 1904, 1906, 1907, 1908, 1909, 1910, 1912, 1913,
            1914, 1915, 1916, 1917, 1918, 1919, 1920, 1925, 1928, 1929, 1930, 1931, 1934, 1936, 1937, 1938, 1940, 1941, 1943,
            1945, 1947, 1948, 1949, 1951, 1952, 1954, 1956, 1959, 1970, 1971, 1972, 1973, 1975, 1978, 1979, 1980, 1983, 1984,
            1985, 1986, 1989,
        ],
    ),
    (
        "CA",
        &[
            1204, 1226, 1236, 1249, 1250, 1257, 1263, 1273, 1289, 1306, 1343, 1354, 1365, 1367, 1368, 1382, 1403, 1416, 1418,
            1428, 1431, 1437, 1438, 1450, 1468, 1474, 1506, 1514, 1519, 1548, 1579, 1581, 1584, 1587, 1600, 1604, 1613, 1622,
            1633, 1639, 1647, 1672, 1683, 1705, 1709, 1742, 1753, 1778, 1780, 1782, 1807, 1819, 1825, 1867, 1873, 1879, 1902,
            1905, 1942,
        ],
    ),
    ("AG", &[1268]),
    ("AI", &[1264]),
    ("AS", &[1684]),
    ("BB", &[1246]),
    ("BM", &[1441]),
    ("BS", &[1242]),
    ("DM", &[1767]),
    ("DO", &[1809, 1829, 1849, 18001]),
    ("GD", &[1473]),
    ("GU", &[1671]),
    ("JM", &[1658, 1876]),
    ("KN", &[1869]),
    ("KY", &[1345]),
    ("LC", &[1758]),
    ("MP", &[1670]),
    ("MS", &[1664]),
    ("PR", &[1787, 1939]),
    ("SX", &[1721]),
    ("TC", &[1649]),
    ("TT", &[1868]),
    ("VC", &[1784]),
    ("VG", &[1284]),
    ("VI", &[1340]),
    // +7: 0, 1, 2 and 5 are nobody's.
    ("RU", &[73, 74, 78, 79]),
    ("KZ", &[76, 77]),
    // +39: an area code of Italy reaches San Marino too, which stands below. The Vatican's own code, 379, is not in use.
    ("IT", &[39]),
    ("VA", &[39_06698]),
    // +44
    ("GB", &[44]),
    ("GG", &[44_1481, 44_7781, 44_7839, 44_79111, 44_79117, 44_980, 44_981]),
    ("IM", &[44_1624, 44_7524, 44_7624, 44_74576]),
    ("JE", &[44_1534, 44_7509, 44_7797, 44_7829, 44_7937, 44_77003, 44_77007, 44_77008]),
    // +47
    ("NO", &[47]),
    ("SJ", &[47_79]),
    // +61: 8 9162 and 8 9164 are the islands; the others are gateways of theirs.
    ("AU", &[61]),
    ("CC", &[61_851002, 61_851031, 61_851060, 61_851089, 61_851118, 61_851176, 61_851223, 61_89162, 61_891703]),
    (
        "CX",
        &[61_851001, 61_851030, 61_851059, 61_851088, 61_851117, 61_851146, 61_851175, 61_851222, 61_851235, 61_89164, 61_891958],
    ),
    // +212: numbers of Western Sahara are Morocco's.
    ("MA", &[212]),
    // +262
    ("RE", &[262]),
    ("YT", &[262_269, 262_2689, 262_63, 262_7093, 262_9398, 262_9478, 262_9769]),
    // +290 and +247: one country by ISO 3166.
    ("SH", &[247, 290]),
    // +358
    ("FI", &[358]),
    ("AX", &[358_18]),
    // +590: Saint Martin and Saint-Barthélemy share 590 29, 51, 52 and 87, so the larger has them.
    ("GP", &[590]),
    ("BL", &[590_59027]),
    (
        "MF",
        &[
            590_59000, 590_59007, 590_59009, 590_59013, 590_59029, 590_59030, 590_59043, 590_59050, 590_59051, 590_59052,
            590_59056, 590_59058, 590_59077, 590_59079, 590_59087,
        ],
    ),
    // +599: the rest is nobody's.
    ("BQ", &[599_3, 599_4, 599_7]),
    ("CW", &[599_6, 599_9]),
    // +672: 1 is Antarctica's bases.
    ("AQ", &[672_1]),
    // Country codes that are no country's.
    ("+800", &[800]),
    ("+808", &[808]),
    ("+870", &[870]),
    ("+878", &[878]),
    ("+881", &[881]),
    ("+882", &[882]),
    ("+883", &[883]),
    ("+888", &[888]),
    ("+979", &[979]),
    // Country codes of one country.
    ("EG", &[20]),
    ("ZA", &[27]),
    ("GR", &[30]),
    ("NL", &[31]),
    ("BE", &[32]),
    ("FR", &[33]),
    ("ES", &[34]),
    ("HU", &[36]),
    ("RO", &[40]),
    ("CH", &[41]),
    ("AT", &[43]),
    ("DK", &[45]),
    ("SE", &[46]),
    ("PL", &[48]),
    ("DE", &[49]),
    ("PE", &[51]),
    ("MX", &[52]),
    ("CU", &[53]),
    ("AR", &[54]),
    ("BR", &[55]),
    ("CL", &[56]),
    ("CO", &[57]),
    ("VE", &[58]),
    ("MY", &[60]),
    ("ID", &[62]),
    ("PH", &[63]),
    ("NZ", &[64]),
    ("SG", &[65]),
    ("TH", &[66]),
    ("JP", &[81]),
    ("KR", &[82]),
    ("VN", &[84]),
    ("CN", &[86]),
    ("TR", &[90]),
    ("IN", &[91]),
    ("PK", &[92]),
    ("AF", &[93]),
    ("LK", &[94]),
    ("MM", &[95]),
    ("IR", &[98]),
    ("SS", &[211]),
    ("DZ", &[213]),
    ("TN", &[216]),
    ("LY", &[218]),
    ("GM", &[220]),
    ("SN", &[221]),
    ("MR", &[222]),
    ("ML", &[223]),
    ("GN", &[224]),
    ("CI", &[225]),
    ("BF", &[226]),
    ("NE", &[227]),
    ("TG", &[228]),
    ("BJ", &[229]),
    ("MU", &[230]),
    ("LR", &[231]),
    ("SL", &[232]),
    ("GH", &[233]),
    ("NG", &[234]),
    ("TD", &[235]),
    ("CF", &[236]),
    ("CM", &[237]),
    ("CV", &[238]),
    ("ST", &[239]),
    ("GQ", &[240]),
    ("GA", &[241]),
    ("CG", &[242]),
    ("CD", &[243]),
    ("AO", &[244]),
    ("GW", &[245]),
    ("IO", &[246]),
    ("SC", &[248]),
    ("SD", &[249]),
    ("RW", &[250]),
    ("ET", &[251]),
    ("SO", &[252]),
    ("DJ", &[253]),
    ("KE", &[254]),
    ("TZ", &[255]),
    ("UG", &[256]),
    ("BI", &[257]),
    ("MZ", &[258]),
    ("ZM", &[260]),
    ("MG", &[261]),
    ("ZW", &[263]),
    ("NA", &[264]),
    ("MW", &[265]),
    ("LS", &[266]),
    ("BW", &[267]),
    ("SZ", &[268]),
    ("KM", &[269]),
    ("ER", &[291]),
    ("AW", &[297]),
    ("FO", &[298]),
    ("GL", &[299]),
    ("GI", &[350]),
    ("PT", &[351]),
    ("LU", &[352]),
    ("IE", &[353]),
    ("IS", &[354]),
    ("AL", &[355]),
    ("MT", &[356]),
    ("CY", &[357]),
    ("BG", &[359]),
    ("LT", &[370]),
    ("LV", &[371]),
    ("EE", &[372]),
    ("MD", &[373]),
    ("AM", &[374]),
    ("BY", &[375]),
    ("AD", &[376]),
    ("MC", &[377]),
    ("SM", &[378, 39_0549]),
    ("UA", &[380]),
    ("RS", &[381]),
    ("ME", &[382]),
    ("XK", &[383]),
    ("HR", &[385]),
    ("SI", &[386]),
    ("BA", &[387]),
    ("MK", &[389]),
    ("CZ", &[420]),
    ("SK", &[421]),
    ("LI", &[423]),
    ("FK", &[500]),
    ("BZ", &[501]),
    ("GT", &[502]),
    ("SV", &[503]),
    ("HN", &[504]),
    ("NI", &[505]),
    ("CR", &[506]),
    ("PA", &[507]),
    ("PM", &[508]),
    ("HT", &[509]),
    ("BO", &[591]),
    ("GY", &[592]),
    ("EC", &[593]),
    ("GF", &[594]),
    ("PY", &[595]),
    ("MQ", &[596]),
    ("SR", &[597]),
    ("UY", &[598]),
    ("TL", &[670]),
    ("NF", &[672]),
    ("BN", &[673]),
    ("NR", &[674]),
    ("PG", &[675]),
    ("TO", &[676]),
    ("SB", &[677]),
    ("VU", &[678]),
    ("FJ", &[679]),
    ("PW", &[680]),
    ("WF", &[681]),
    ("CK", &[682]),
    ("NU", &[683]),
    ("WS", &[685]),
    ("KI", &[686]),
    ("NC", &[687]),
    ("TV", &[688]),
    ("PF", &[689]),
    ("TK", &[690]),
    ("FM", &[691]),
    ("MH", &[692]),
    ("KP", &[850]),
    ("HK", &[852]),
    ("MO", &[853]),
    ("KH", &[855]),
    ("LA", &[856]),
    ("BD", &[880]),
    ("TW", &[886]),
    ("MV", &[960]),
    ("LB", &[961]),
    ("JO", &[962]),
    ("SY", &[963]),
    ("IQ", &[964]),
    ("KW", &[965]),
    ("SA", &[966]),
    ("YE", &[967]),
    ("OM", &[968]),
    ("PS", &[970]),
    ("AE", &[971]),
    ("IL", &[972]),
    ("BH", &[973]),
    ("QA", &[974]),
    ("BT", &[975]),
    ("MN", &[976]),
    ("NP", &[977]),
    ("TJ", &[992]),
    ("TM", &[993]),
    ("AZ", &[994]),
    ("GE", &[995]),
    ("KG", &[996]),
    ("UZ", &[998]),
];

/// The digits of the longest prefix.
const LONGEST: usize = 8;

/// How many prefixes there are.
const COUNT: usize = {
    let (mut count, mut row) = (0, 0);
    while row < ROWS.len() {
        count += ROWS[row].1.len();
        row += 1;
    }
    count
};

/// The rows as one list by length and value, so that each length can be searched. Prefixes and countries stand apart: together they
/// would be padded.
struct PrefixTable {
    prefixes: [u32; COUNT],
    countries: [Country; COUNT],
    /// Where the prefixes of each length end.
    ends: [usize; LONGEST + 1],
}

static TABLE: PrefixTable = sorted();

/// Octets of the table.
const SIZE: usize = size_of::<PrefixTable>();
const _: () = assert!(SIZE <= 10 * 1024, "the table should fit into a processor's nearest cache, beside what else a call needs");

/// Made while compiling. A prefix that stands twice does not compile.
const fn sorted() -> PrefixTable {
    let mut table = PrefixTable { prefixes: [0; COUNT], countries: [Country::listed("+000"); COUNT], ends: [0; LONGEST + 1] };
    let (mut row, mut filled) = (0, 0);
    while row < ROWS.len() {
        let country = Country::listed(ROWS[row].0);
        let mut nth = 0;
        while nth < ROWS[row].1.len() {
            let prefix = ROWS[row].1[nth];
            // No prefix begins with 0, so a longer one is a larger number.
            let mut at = filled;
            while at > 0 && table.prefixes[at - 1] >= prefix {
                assert!(table.prefixes[at - 1] != prefix, "a prefix stands twice");
                table.prefixes[at] = table.prefixes[at - 1];
                table.countries[at] = table.countries[at - 1];
                at -= 1;
            }
            table.prefixes[at] = prefix;
            table.countries[at] = country;
            filled += 1;
            nth += 1;
        }
        row += 1;
    }
    let (mut length, mut above) = (1, 10);
    while length <= LONGEST {
        let mut end = table.ends[length - 1];
        while end < COUNT && table.prefixes[end] < above {
            end += 1;
        }
        table.ends[length] = end;
        length += 1;
        above *= 10;
    }
    assert!(table.ends[LONGEST] == COUNT, "a prefix is longer than the longest");
    table
}

/// Whose number this is, of its digits with the country code and without `+`: the longest prefix decides. `None`: nobody's, or no
/// number at all.
pub fn country_of(digits: &[u8]) -> Option<Country> {
    if is_doubled(digits) {
        return None;
    }
    let mut values = [0_u32; LONGEST + 1];
    let mut known = 0;
    for (length, digit) in digits.iter().take(LONGEST).enumerate() {
        let value = char::from(*digit).to_digit(10)?;
        let [before, after] = values.get_mut(length..)?.first_chunk_mut()?;
        *after = before.checked_mul(10)?.checked_add(value)?;
        known = length.checked_add(1)?;
    }
    (1..=known).rev().find_map(|length| {
        let (start, end) = (*TABLE.ends.get(length.checked_sub(1)?)?, *TABLE.ends.get(length)?);
        let found = TABLE.prefixes.get(start..end)?.binary_search(values.get(length)?).ok()?;
        TABLE.countries.get(start.checked_add(found)?).copied()
    })
}

/// The country code of a number, and what follows. Codes of one and of two digits are all known (E.164 Annex D), the others have three.
pub(super) fn split_code(digits: &[u8]) -> (u16, &[u8]) {
    let length = match digits {
        [b'1' | b'7', ..] => 1,
        [b'2', b'0' | b'7', ..]
        | [b'3', b'0'..=b'4' | b'6' | b'9', ..]
        | [b'4', b'0' | b'1' | b'3'..=b'9', ..]
        | [b'5', b'1'..=b'8', ..]
        | [b'6', b'0'..=b'6', ..]
        | [b'8', b'1' | b'2' | b'4' | b'6', ..]
        | [b'9', b'0'..=b'5' | b'8', ..] => 2,
        _ => 3,
    };
    let Some((code, rest)) = digits.split_at_checked(length) else { return (0, &[]) };
    let value =
        code.iter().try_fold(0_u16, |value, digit| Some(value * 10 + u16::try_from(char::from(*digit).to_digit(10)?).ok()?));
    (value.unwrap_or_default(), rest)
}

/// Whether these digits are a country code and nothing more.
pub(super) fn is_country_code(digits: &[u8]) -> bool {
    let (code, rest) = split_code(digits);
    let begins = |mut prefix: u32| {
        while prefix > u32::from(code) {
            prefix /= 10;
        }
        prefix == u32::from(code)
    };
    code > 0 && rest.is_empty() && prefixes().any(|(prefix, _)| begins(prefix))
}

/// The country code of a country: that of its shortest prefix, and of two of one length the higher (Saint Helena's, not Ascension's).
pub(super) fn code_of(country: Country) -> Option<u16> {
    let own = prefixes().filter(|&(_, of)| of == country).map(|(prefix, _)| prefix.to_string());
    let shortest = own.min_by_key(|prefix| (prefix.len(), std::cmp::Reverse(prefix.clone())))?;
    Some(split_code(shortest.as_bytes()).0)
}

/// Whether a country has numbers here.
pub(super) fn has_numbers(country: Country) -> bool {
    TABLE.countries.contains(&country)
}

/// Every prefix with whose it is, the shortest first.
pub fn prefixes() -> impl Iterator<Item = (u32, Country)> {
    TABLE.prefixes.iter().copied().zip(TABLE.countries.iter().copied())
}
