//! Why an operation was refused: the error codes of Amazon SQS, each with its name in both protocols.

/// An operation that failed by its caller's mistake, or for want of something of ours.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, serde::Serialize, serde::Deserialize)]
#[error("{message}")]
pub struct Fault {
    pub code: Code,
    /// In words, as AWS documents them where it does.
    pub message: String,
}

macro_rules! codes {
    ($($namespace:literal { $($variant:ident $shape:literal $query:literal $status:literal;)* })*) => {
        /// A code of the Amazon SQS API. `shape` is its name in the JSON protocol (`__type`), `query` the one in the
        /// query protocol and in `x-amzn-query-error`.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub enum Code { $($($variant,)*)* }

        impl Code {
            #[cfg(test)]
            pub(super) const ALL: &[Code] = &[$($(Code::$variant,)*)*];

            pub fn shape(self) -> &'static str {
                match self { $($(Code::$variant => $shape,)*)* }
            }

            pub fn query(self) -> &'static str {
                match self { $($(Code::$variant => $query,)*)* }
            }

            /// What stands before the shape in the JSON protocol: most are of Amazon SQS, common ones of the framework that
            /// its servers are built with.
            pub fn namespace(self) -> &'static str {
                match self { $($(Code::$variant => $namespace,)*)* }
            }

            /// The HTTP status.
            pub fn status(self) -> u16 {
                match self { $($(Code::$variant => $status,)*)* }
            }
        }
    };
}

// Shapes from the service model that botocore ships (`sqs/2012-11-05/service-2.json`), query codes and statuses from the last
// of its releases that spoke the query protocol (1.31.80); `crates/runtime/tests/sqs/codes.py` compares both.
codes! {
    "com.amazonaws.sqs" {
        BatchEntryIdsNotDistinct "BatchEntryIdsNotDistinct" "AWS.SimpleQueueService.BatchEntryIdsNotDistinct" 400;
        BatchRequestTooLong "BatchRequestTooLong" "AWS.SimpleQueueService.BatchRequestTooLong" 400;
        EmptyBatchRequest "EmptyBatchRequest" "AWS.SimpleQueueService.EmptyBatchRequest" 400;
        InvalidAddress "InvalidAddress" "InvalidAddress" 404;
        InvalidAttributeName "InvalidAttributeName" "InvalidAttributeName" 400;
        InvalidAttributeValue "InvalidAttributeValue" "InvalidAttributeValue" 400;
        InvalidBatchEntryId "InvalidBatchEntryId" "AWS.SimpleQueueService.InvalidBatchEntryId" 400;
        InvalidIdFormat "InvalidIdFormat" "InvalidIdFormat" 400;
        InvalidMessageContents "InvalidMessageContents" "InvalidMessageContents" 400;
        InvalidSecurity "InvalidSecurity" "InvalidSecurity" 403;
        MessageNotInflight "MessageNotInflight" "AWS.SimpleQueueService.MessageNotInflight" 400;
        OverLimit "OverLimit" "OverLimit" 403;
        PurgeQueueInProgress "PurgeQueueInProgress" "AWS.SimpleQueueService.PurgeQueueInProgress" 403;
        QueueDeletedRecently "QueueDeletedRecently" "AWS.SimpleQueueService.QueueDeletedRecently" 400;
        QueueDoesNotExist "QueueDoesNotExist" "AWS.SimpleQueueService.NonExistentQueue" 400;
        QueueNameExists "QueueNameExists" "QueueAlreadyExists" 400;
        ReceiptHandleIsInvalid "ReceiptHandleIsInvalid" "ReceiptHandleIsInvalid" 404;
        RequestThrottled "RequestThrottled" "RequestThrottled" 403;
        ResourceNotFoundException "ResourceNotFoundException" "ResourceNotFoundException" 404;
        TooManyEntriesInBatchRequest "TooManyEntriesInBatchRequest" "AWS.SimpleQueueService.TooManyEntriesInBatchRequest" 400;
        UnsupportedOperation "UnsupportedOperation" "AWS.SimpleQueueService.UnsupportedOperation" 400;
    }
    // Common errors, which no operation's model lists.
    "com.amazon.coral.service" {
        InvalidParameterValue "InvalidParameterValueException" "InvalidParameterValue" 400;
        MissingParameter "MissingRequiredParameterException" "MissingParameter" 400;
        InvalidAction "UnknownOperationException" "InvalidAction" 400;
        MissingAction "MissingActionException" "MissingAction" 400;
        Malformed "SerializationException" "MalformedInput" 400;
        AccessDenied "AccessDeniedException" "AccessDenied" 403;
        MissingAuthenticationToken "MissingAuthenticationTokenException" "MissingAuthenticationToken" 403;
        IncompleteSignature "IncompleteSignatureException" "IncompleteSignature" 403;
        InvalidClientTokenId "UnrecognizedClientException" "InvalidClientTokenId" 403;
        SignatureDoesNotMatch "InvalidSignatureException" "SignatureDoesNotMatch" 403;
        RequestExpired "RequestExpired" "RequestExpired" 403;
        RequestTooLarge "RequestEntityTooLargeException" "RequestEntityTooLarge" 413;
        RequestTimeout "RequestTimeoutException" "RequestTimeout" 408;
        ServiceUnavailable "ServiceUnavailableException" "ServiceUnavailable" 503;
        InternalFailure "InternalFailure" "InternalFailure" 500;
    }
}

impl Fault {
    pub fn new(code: Code, message: impl Into<String>) -> Fault {
        Fault {
            code,
            message: message.into(),
        }
    }

    /// Whether the caller is to blame (`Sender`), else it is ours (`Receiver`).
    pub fn is_senders(&self) -> bool {
        self.code.status() < 500
    }
}
