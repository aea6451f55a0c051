#pragma once
#include <cstdint>
#include <string>
#include <vector>

#include <ATen/core/Tensor.h>

#include "microemo/model/options.h"
#include "microemo/model/windows.h"
#include "microemo/nn/dropout.h"

namespace microemo::model {

// Shapes: B clips, T sampled whole frames, N native-rate face frames, F log-mel frames, K pieces of sound, W windows, R rows =
// questions (one utterance of one clip each), L tokens of a row. Everything is padded on the right to the longest of the batch.

/// Several clips with the questions asked about them, as the model reads them. What is computed with lies on one device. What the
/// program reads stays on the CPU, as reading it from a GPU would wait for it: times, masks, windows, classes, time_text_BTL,
/// labels_RL and lengths_R.
struct ClipBatch {
  at::Tensor frames_BTCHW;  ///< uint8 RGB
  at::Tensor encoded_BTSC;  ///< floats: what the ViT of whole frames gave for them earlier ([B, T, 1, C] of CLIP's projected
                            ///< tokens), so that it is not run; undefined where it is to be run. Right for a frozen one alone,
                            ///< and for frames that are not changed at random
  at::Tensor encoded_queries_BTQC;  ///< floats: what the image Q-Former gave for the frames earlier, so that neither it nor the
                                    ///< ViT is run; of a frozen one without dropout that drops its text
  at::Tensor frame_times_BT;        ///< float32 seconds
  at::Tensor frame_mask_BT;         ///< bool, false is padding
  at::Tensor time_text_BTL;         ///< int64 ids of "This frame is sampled at t second.", padded with -1
  at::Tensor faces_BNCSS;           ///< uint8 or int8, as prepared
  at::Tensor face_times_BN;         ///< float32 seconds
  at::Tensor face_mask_BN;          ///< bool, true where a face was found
  at::Tensor face_padding_BN;       ///< bool, false is padding (a frame without a face is not padding)
  at::Tensor mel_BFM;               ///< float32 log-mel, not normalised
  at::Tensor mel_times_BF;          ///< float32 seconds
  at::Tensor mel_mask_BF;           ///< bool, false is padding; all false for a clip without sound
  at::Tensor pieces_BK;  ///< float32 [B, K, …], pieces of sound as a public encoder reads them: ImageBind's log-mel [frames,
                         ///< bands], HuBERT's samples, Whisper's log-mel [bands, frames]
  at::Tensor encoded_pieces_BKSC;  ///< floats: what the encoder of sound gave for them earlier, as encoded_BTSC is of frames
  at::Tensor piece_times_BK;       ///< float32 seconds, the middle of each piece
  at::Tensor piece_mask_BK;        ///< bool, false is padding; all false for a clip without sound
  double piece_s = 0;              ///< length of a piece

  std::vector<at::Tensor> features_BC;  ///< float32, one [B, width] for each of FeatureOptions::names

  WindowSpans clips;                         ///< the whole clip (window 0) and its utterances
  WindowSpans video_windows, audio_windows;  ///< those of each branch (windows_of)

  at::Tensor ids_RL;        ///< int64 token ids; 0 where a media token or padding stands
  at::Tensor media_RL;      ///< int64 row of the media table of MicroEmo::media_tokens, -1 for text
  at::Tensor utterance_RL;  ///< int64, 0 for tokens of no utterance, else 1 + its index
  at::Tensor labels_RL;     ///< int64, already shifted: what should follow each token; nn::ignored_label elsewhere
  at::Tensor lengths_R;     ///< int64, tokens of each row without padding

  at::Tensor movement_BN,
      movement_BT;  ///< int64 class at the time of each face frame and each whole frame for the alignment loss, ignored_label
                    ///< where unknown; undefined without ground truth
  at::Tensor window_movement_BW,
      window_voice_BW;  ///< int64 classes of each utterance; ignored_label for window 0, padding and unknown

  std::vector<std::string> ids;  ///< of the clips, for errors

  nn::DropoutKeys clip_keys, row_keys;  ///< of the clips and the rows, while training; none: no dropout
};

/// The batch with what is computed with on a device. What is there already is shared. Copies to a GPU are put in its queue, from
/// pinned memory.
ClipBatch on_device(ClipBatch batch, const at::Device& device);

/// Query tokens of one window in the media table; the batch builder lays out prompts with these.
struct MediaLayout {
  int64_t video_queries = 0, audio_queries = 0;  ///< 0 when the branch is off
  bool fused = false;                            ///< one more token of every clip, behind all others
  int64_t features = 0;                          ///< tokens of every clip from FeatureOptions, behind the fused ones
  WindowOptions video = {}, audio = {};
};
MediaLayout media_layout(const ModelOptions& options);

}  // namespace microemo::model
