//! What a Go peer derives from its settings.

/// Sizes in segments, times in milliseconds.
#[derive(Clone, Debug)]
pub struct GoConfig {
    pub mss: usize,
    pub tti: u32,
    pub send_in_flight: u32,
    pub receive_window: u32,
    pub send_queue_limit: u32,
    /// Whether the loss rate moves a control window.
    pub congestion: bool,
    /// The windows are multiplied by this before they limit a flush.
    pub window_factor: u32,
    /// The control window never grows past this.
    pub control_window_limit: u32,
}

impl GoConfig {
    /// v2ray 4.32 and later with its default settings and simple security.
    pub fn v2ray() -> Self {
        Self {
            mss: 1326,
            tti: 50,
            send_in_flight: 194,
            receive_window: 776,
            send_queue_limit: 1553,
            congestion: false,
            window_factor: 20,
            control_window_limit: 2 * 194,
        }
    }

    /// Xray 26.4.13 and later with its default settings.
    pub fn xray() -> Self {
        Self {
            mss: 1332,
            congestion: true,
            window_factor: 1,
            control_window_limit: 194,
            ..Self::v2ray()
        }
    }
}
