#include "microemo/model/clip_batch.h"

#include "microemo/nn/sent.h"

namespace microemo::model {

ClipBatch on_device(ClipBatch batch, const at::Device& device) {
  for (at::Tensor* tensor :
       {&batch.frames_BTCHW, &batch.encoded_BTSC, &batch.encoded_queries_BTQC, &batch.faces_BNCSS, &batch.mel_BFM,
        &batch.pieces_BK, &batch.encoded_pieces_BKSC, &batch.ids_RL, &batch.media_RL, &batch.utterance_RL})
    *tensor = nn::sent(*tensor, device);
  for (at::Tensor& feature_BC : batch.features_BC) feature_BC = nn::sent(feature_BC, device);
  return batch;
}

}  // namespace microemo::model
