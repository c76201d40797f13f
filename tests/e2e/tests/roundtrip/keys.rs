//! Keys that clients, servers and file systems take for others, by what is hard about them.

/// A row of the table, and its keys. Within a row they try to hide each other.
pub(crate) const HARD: [(&str, &[&str]); 11] = [
    ("plain and nested keys", &["plain", "folder/one", "folder/deep/er/two", "folder/deep.txt", "x"]),
    ("keys below a key, and folder marks: `a`, `a/`, `a/b`", &["a", "a/", "a/b", "a/b/", "a/b/c", "mark/"]),
    ("empty segments: `/lead`, `s//d`", &["/", "/lead", "//two", "s//d", "s/d", "s///d", "end//"]),
    (
        "segments `.` and `..`",
        &[".", "..", "./x", "../x", "d/./x", "d/x", "d/../x", "d/..", "d/.", "..up", "...", ".hidden"],
    ),
    (
        "`%`, `+` and what a query or a path means otherwise",
        &[
            "%",
            "%2F",
            "%252F",
            "%zz",
            "100%",
            "+",
            "1+1",
            "1%2B1",
            "q?a=b",
            "hash#x",
            "semi;x=y",
            "a=b&c=d",
            "comma,x",
            "colon:x",
            "at@x",
            "star*x",
            "tilde~x",
            "pipe|x",
            "caret^x",
            "{brace}",
            "[bracket]",
            "dollar$x",
            "!",
        ],
    ),
    ("backslashes", &["back\\slash", "\\", "\\\\host\\share", "..\\x"]),
    ("spaces, also at the ends", &[" ", " lead", "trail ", "in  side", "fol der /x", "nbsp\u{a0}x"]),
    ("control characters", &["nul\0x", "bell\u{7}", "tab\tx", "line\nx", "return\rx", "escape\u{1b}[31m", "del\u{7f}"]),
    ("quotes and what XML means otherwise", &["'", "\"", "<x>", "&amp;", "a&b", "]]>", "`tick`", "<!--"]),
    (
        "Unicode: composed, decomposed, emoji, right to left",
        &[
            "caf\u{e9}",
            "cafe\u{301}",
            "\u{1f600}",
            "\u{1f468}\u{200d}\u{1f469}\u{200d}\u{1f467}",
            "\u{202e}rtl",
            "שלום",
            "日本/語",
            "\u{feff}bom",
            "\u{fffd}",
            "\u{e000}",
            "\u{2028}line",
            "\u{1d11e}",
        ],
    ),
    ("upper and lower case", &["case/KEY", "case/key", "case/Key"]),
];

/// Keys of the greatest length, 1,024 bytes: one segment, many, and of characters of several bytes.
pub(crate) const LONGEST: &str = "1,024 bytes";

pub(crate) fn longest() -> [String; 3] {
    let many = format!("long/{}{}", "segment/".repeat(127), "end");
    [format!("{:k<1024}", "long"), many, format!("{}{}", "long", "\u{20ac}".repeat(340))]
}
