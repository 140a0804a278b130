//! Names of the webhook's objects.

/// Default name of the ValidatingWebhookConfiguration.
pub const CONFIGURATION: &str = "fairlead-webhook-configuration";
/// Name of the Service through which API servers reach the controllers.
pub const SERVICE: &str = "fairlead-webhook-service";
/// Name of the Secret with the serving certificate.
pub const SECRET: &str = "fairlead-webhook-cert";
