/* The kernels of the CUDA column, named after their op; each stands in autograd/ops/<op>.cu. One that is missing is a link error. */
#ifndef GRAFT_AUTOGRAD_CUDA_KERNELS_H
#define GRAFT_AUTOGRAD_CUDA_KERNELS_H

kernel activation_forward_cuda, activation_backward_cuda;
kernel add_into_forward_cuda;
kernel adamw_forward_cuda;
kernel attention_forward_cuda, attention_backward_cuda;
kernel cast_forward_cuda, cast_backward_cuda;
kernel choose_rows_forward_cuda;
kernel clamp_forward_cuda, clamp_backward_cuda;
kernel dropout_forward_cuda, dropout_backward_cuda;
kernel embed_forward_cuda, embed_backward_cuda;
kernel embed_columns_forward_cuda, embed_columns_backward_cuda;
kernel fill_forward_cuda;
kernel gated_forward_cuda, gated_backward_cuda;
kernel head_loss_forward_cuda, head_loss_backward_cuda;
kernel join_rows_forward_cuda;
kernel kv_append_forward_cuda;
kernel layernorm_forward_cuda, layernorm_backward_cuda;
kernel linear_forward_cuda, linear_backward_cuda;
kernel lstm_forward_cuda, lstm_backward_cuda;
kernel replace_rows_forward_cuda, replace_rows_backward_cuda;
kernel rmsnorm_forward_cuda, rmsnorm_backward_cuda;
kernel rope_forward_cuda, rope_backward_cuda;
kernel rope_angles_forward_cuda;
kernel row_norms_forward_cuda;
kernel sample_forward_cuda;
kernel scale_columns_forward_cuda, scale_columns_backward_cuda;
kernel sum_squares_forward_cuda;
kernel take_columns_forward_cuda, take_columns_backward_cuda;
kernel take_rows_forward_cuda, take_rows_backward_cuda;

#endif
