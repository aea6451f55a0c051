#pragma once
#include "media_file.h"

namespace microemo::media {

/// Learns what reading pictures needs to know of an MP4 or MOV file from its header and its first packets, which stay in
/// `file.read_ahead`: libav's own search decodes pictures for it, the time of three or four frames. True when the header says
/// everything, and the first picture of H.264 or HEVC agrees with it on its size; false leaves the file to that search, opened
/// anew.
bool header_tells(MediaFile& file, int video_stream);

}  // namespace microemo::media
