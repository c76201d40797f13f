//! The liberties that bad servers take, each with the reason why it is tried.

/// One way to misbehave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Liberty {
    /// The connection ends before anything is done.
    ResetBefore,
    /// What was asked is done, and the connection ends without a word of it.
    ResetAfter,
    /// The connection ends within the body.
    Truncated,
    /// More is promised than comes.
    LengthTooLong,
    /// Less is said to come than there is, and no more comes.
    LengthTooShort,
    /// A few bytes come at a time.
    SlowDrip,
    /// 503, with a wish to wait.
    Unavailable,
    /// 429, with a wish to wait.
    TooMany,
    /// 502, with a page of a server on the way.
    BadGateway,
    /// 200 with the document of an error.
    ErrorInSuccess,
    /// 200 with a page for browsers.
    HtmlPage,
    /// A document that ends in its middle, said to be whole.
    CutDocument,
    /// A document without one of its elements.
    MissingField,
    /// An answer without one of its headers.
    MissingHeader,
    /// The tag of another content.
    OtherTag,
    /// Plain bytes, said to be compressed.
    PlainAsGzip,
    /// More headers than anybody needs, or longer ones.
    HugeHeaders,
    /// To the same place again.
    RedirectHere,
    /// To another server.
    RedirectAway,
    /// All of a content where a part was asked for.
    RangeIgnored,
    /// Another part than was asked for.
    OtherRange,
    /// Pages of few names, of one, and of none before the end.
    ShortPages,
    /// The same page again and again.
    EndlessPages,
}
