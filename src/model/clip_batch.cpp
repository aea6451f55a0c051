#include "microemo/model/clip_batch.h"

#include "microemo/nn/sent.h"

namespace microemo::model {

ClipBatch on_device(ClipBatch batch, const at::Device& device) {
  for (at::Tensor* tensor : {&batch.frames_BTCHW,
                             &batch.frame_times_BT,
                             &batch.frame_mask_BT,
                             &batch.faces_BNCSS,
                             &batch.face_times_BN,
                             &batch.face_mask_BN,
                             &batch.face_padding_BN,
                             &batch.mel_BFM,
                             &batch.mel_times_BF,
                             &batch.mel_mask_BF,
                             &batch.pieces_BK,
                             &batch.piece_times_BK,
                             &batch.piece_mask_BK,
                             &batch.clips.spans_BW2,
                             &batch.clips.mask_BW,
                             &batch.video_windows.spans_BW2,
                             &batch.video_windows.mask_BW,
                             &batch.audio_windows.spans_BW2,
                             &batch.audio_windows.mask_BW,
                             &batch.ids_RL,
                             &batch.media_RL,
                             &batch.utterance_RL,
                             &batch.movement_BN,
                             &batch.movement_BT,
                             &batch.window_movement_BW,
                             &batch.window_voice_BW})
    *tensor = nn::sent(*tensor, device);
  for (at::Tensor& feature_BC : batch.features_BC) feature_BC = nn::sent(feature_BC, device);
  return batch;
}

}  // namespace microemo::model
